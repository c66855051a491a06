"""What is touched in Snakemake's insides stands in one table, and is there in the installed version."""

import ast
import re
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake.api  # noqa: F401, which Snakemake imports first

from gridlaw.hooks import jobs, touched
from gridlaw.hooks.touched import Touch
from gridlaw.workflow import steps

ROOT = Path(__file__).resolve().parents[2]
HOOKS = {file.stem: ast.parse(file.read_text()) for file in (ROOT / "scripts/gridlaw/hooks").glob("*.py")}
OTHERS = [file for file in (ROOT / "scripts").rglob("*.py") if file.parent.name != "hooks"]
SNAKEFILES = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
# What Snakemake documents for users.
DOCUMENTED = {"snakemake.utils"}
# Attributes of ours, of Python and of log records that are assigned to objects of others.
NOT_SNAKEMAKES = {"msg", "shellcmd", "rule_msg", "due", "__class__", "__signature__"}
SELF = {"self", "cls"}


def imports(tree):
    """Names from Snakemake's modules that a module imports when it runs, as `module.name`."""
    only_types = {
        node for test in ast.walk(tree) if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }  # fmt: skip
    for node in ast.walk(tree):
        if node in only_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("snakemake"))
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("snakemake"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_own(value):
    """Return whether an attribute belongs to an object of the module itself."""
    return isinstance(value, ast.Name) and value.id in SELF


def touches(tree):
    """Last parts of the names that a module reads as private ones, replaces, or overrides in a subclass."""
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    imported = {name.rpartition(".")[2] for name in imports(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            replaced = isinstance(node.ctx, ast.Store) and node.attr not in NOT_SNAKEMAKES
            if (private or replaced) and not is_own(node.value):
                yield node.attr
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            owner = node.value
            if isinstance(owner, ast.Attribute) and not is_own(owner.value):
                yield owner.attr
    for node in classes.values():
        bases = {ast.unparse(base) for base in node.bases}
        if bases & imported or "type(persistence)" in bases:
            yield from (
                part.name for part in node.body
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and not part.name.startswith("__")
            )  # fmt: skip


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_what_a_hook_touches_is_in_the_table(hook):
    listed = {touch.name.rpartition(".")[2] for touch in touched.TABLE if touch.hook == hook}
    assert set(touches(HOOKS[hook])) <= listed
    names = {f"{touch.module}.{touch.name}" for touch in touched.TABLE if touch.hook == hook}
    modules = {touch.module for touch in touched.TABLE if touch.hook == hook}
    undocumented = {name for name in imports(HOOKS[hook]) if name.rpartition(".")[0] not in DOCUMENTED}
    assert {name for name in undocumented if name not in modules} <= names


@pytest.mark.parametrize("touch", touched.TABLE, ids=lambda touch: f"{touch.hook}: {touch.name}")
def test_what_is_in_the_table_is_touched(touch):
    assert re.search(rf"\b{touch.name.rpartition('.')[2]}\b", ast.unparse(HOOKS[touch.hook]))
    assert touch.hook in touched.EFFECTS


def test_the_scan_sees_each_way_to_touch():
    source = """
from snakemake.jobs import Job
class Mine(Job):
    def postprocess(self): super()._finish()
def f(workflow, scheduler):
    scheduler._lock
    Job.run = f
    workflow.limits["gpu"] = 1
"""
    assert set(touches(ast.parse(source))) == {"postprocess", "_finish", "_lock", "run", "limits"}
    assert list(imports(ast.parse(source))) == ["snakemake.jobs.Job"]


@pytest.mark.parametrize("file", OTHERS, ids=lambda file: str(file.relative_to(ROOT)))
def test_other_modules_use_only_what_is_documented(file):
    assert {name.rpartition(".")[0] for name in imports(ast.parse(file.read_text()))} <= DOCUMENTED


@pytest.mark.parametrize("file", SNAKEFILES, ids=lambda file: file.name)
def test_snakefiles_touch_nothing(file):
    text = file.read_text()
    assert not re.search(r"\._\w|__\w+__|shell\.prefix|^\s*workflow[.\w]*(\[.*\])? = ", text, re.M)


@pytest.mark.parametrize("touch", touched.TABLE, ids=lambda touch: f"{touch.hook}: {touch.name}")
def test_it_is_there(touch):
    assert touch.exists()


def test_the_tested_versions_are_the_pinned_ones():
    pins = (ROOT / "requirements.txt").read_text().splitlines()
    assert {f"{name}=={version}" for name, version in touched.TESTED.items()} <= set(pins)


def test_the_tested_versions_say_nothing(capsys):
    assert touched.usable() == touched.EFFECTS.keys()
    assert capsys.readouterr() == ("", "")


def test_another_version_is_one_line_and_the_scheduler_is_left_alone(monkeypatch, capsys):
    monkeypatch.setattr(metadata, "version", lambda name: "9.99.0")
    assert touched.usable(["snakemake"]) == touched.EFFECTS.keys() - {"throttle"}
    (line,) = capsys.readouterr().err.splitlines()
    assert "snakemake 9.99.0 instead of 9.27.1" in line
    assert touched.EFFECTS["records"] in line
    assert "slurm" not in line.partition("; expected")[0]
    assert line.endswith("; expected: pip install snakemake==9.27.1")


@pytest.mark.parametrize(("hook", "ends"), [("throttle", False), ("records", True)])
def test_a_name_that_is_gone(monkeypatch, capsys, hook, ends):
    gone = Touch("snakemake.workflow", "Workflow._renamed", hook, "a test")
    monkeypatch.setattr(touched, "TABLE", (*touched.TABLE, gone))
    if ends:
        with pytest.raises(SystemExit) as end:
            touched.usable()
        line = end.value.code
        assert line.startswith("error: ")
    else:
        assert touched.usable() == touched.EFFECTS.keys() - {hook}
        line = capsys.readouterr().err
    assert "no snakemake.workflow.Workflow._renamed" in line
    assert touched.EFFECTS[hook] in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("kind", steps.KINDS.values(), ids=steps.KINDS)
def test_a_job_is_known_by_its_outputs(kind):
    values = ["a", "4k", "1", "1", "t"][: len(kind.wildcards)]
    outputs = [kind.file(output, *values) for output in kind.writes]
    assert jobs.kind_of(SimpleNamespace(output=outputs)) is kind
    assert jobs.kind_of(SimpleNamespace(output=[f"{file}.bak" for file in outputs])) is None
