"""The house keeps its own rules."""

import ast
import importlib
import re
import runpy
import sys
import tokenize
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml
from conftest import repository

from gridlaw.report import caption
from gridlaw.workflow import steps
from gridlaw.workflow.kinds import reporting

ROOT = Path(__file__).resolve().parents[2]
# Programs that people run, on a grid or on a table of their own; all others are rules'.
PEOPLES = {"explain", "accept", "adopt", "obsolete", "progress", "so_far"}
ALONE = {"fit_laws", "forecast_curves"}
SCRIPTS = sorted(file for file in (ROOT / "scripts").glob("*.py") if file.stem not in PEOPLES | ALONE)
PROGRAMS = (ROOT / "docs/reference/programs.md").read_text()


def pins(lines):
    return dict(match.groups() for line in lines if (match := re.fullmatch(r"\s*(?:- )?([\w-]+)==(\S+)", line)))


REQUIRED = pins((ROOT / "requirements.txt").read_text().splitlines())


def test_environment_has_the_same_pins():
    assert pins((ROOT / "environment.yml").read_text().splitlines()) == REQUIRED


@pytest.mark.parametrize("file", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda file: file.name)
def test_step_environments_have_a_part_of_the_pins(file):
    own = pins(file.read_text().splitlines())
    assert own
    assert own.items() <= REQUIRED.items()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_rule_script_and_help(script, program, capsys):
    assert script.stem in steps.KINDS
    with pytest.raises(SystemExit) as ended:
        program(importlib.import_module(script.stem), "--help")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "--recipe" in said
    assert f"python scripts/{script.name}" in said


@pytest.fixture
def help_of(monkeypatch, capsys):
    """Runs a program as a script that is asked for help; gives what it prints."""

    def of(name):
        script = str(ROOT / "scripts" / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [script, "--help"])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(script, run_name="__main__")
        assert ended.value.code == 0
        return capsys.readouterr().out

    return of


@pytest.mark.parametrize("name", sorted(PEOPLES))
def test_programs_that_people_run(help_of, name):
    said = help_of(name)
    assert "--configfile" in said
    assert f"python scripts/{name}.py" in said
    assert f"scripts/{name}.py" in PROGRAMS


@pytest.mark.parametrize("name", sorted(ALONE))
def test_programs_that_need_no_grid(help_of, name):
    assert f"python scripts/{name}.py" in help_of(name)
    assert f"scripts/{name}.py" in PROGRAMS


def test_every_kind_of_step_is_a_rule():
    rules = "\n".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    written = set(re.findall(r"^rule (\w+):", rules, re.M))
    assert written | {f"figure_{name}" for name in reporting.FIGURES} == set(steps.KINDS)


def test_every_figure_and_every_shown_result_has_a_caption():
    shown = {output.shown for kind in steps.KINDS.values() for output in kind.writes.values() if output.shown}
    written = {(file.parent.name, file.stem) for file in caption.FOLDER.glob("*/*.rst")}
    assert shown == written
    for kind, name in written:
        title, text = caption.read(kind, name)
        assert title[0].isupper() and not title.endswith(".")
        assert text.endswith(".")
        assert not re.search(r"[`*|]|__", text.replace("* ", "")), "the page shows it as it is"


def test_every_key_of_the_schema_is_described():
    schema = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text())

    def undescribed(node, path=""):
        for name, entry in node.get("properties", {}).items():
            referred = schema["$defs"].get(entry.get("$ref", "").rsplit("/", 1)[-1], {})
            if not entry.get("description") and not referred.get("description"):
                yield f"{path}.{name}"
            yield from undescribed(entry, f"{path}.{name}")

    found = list(undescribed(schema))
    for name, entry in schema["$defs"].items():
        found += undescribed(entry, name)
    assert found == []


def test_no_remote_code_and_no_pickles():
    source = "\n".join(file.read_text() for file in (ROOT / "scripts").rglob("*.py"))
    assert not re.search(r"trust_remote_code(?!=False)", source)
    assert not re.search(r"\bpickle\b|torch\.load|allow_pickle=True", source)


# The drawing of docs/architecture.md: the packages that a package may import from. All may import from the ground, the
# modules beside the packages, which import from no package.
CORE = {"runtime", "workflow", "config", "objectives", "tasks", "models", "data"}
ARROWS = {
    "programs": {*CORE, "views", "report", "decisions", "laws", "stats", "cost", "training"},
    "hooks": {"views", "cost", "runtime", "workflow", "config"},
    "views": {"cost", "runtime", "workflow", "config"},
    "report": {"workflow", "config"},
    "decisions": {"laws", "stats", "config"},
    "laws": {"stats"},
    "stats": set(),
    "cost": {*CORE, "training"},
    "training": CORE,
    "runtime": {"workflow", "config"},
    "workflow": {"config", "objectives", "tasks", "models"},
    "config": {"objectives", "tasks", "models", "data"},
    "objectives": {"models", "data"},
    "tasks": {"models", "data"},
    "models": {"data"},
    "data": set(),
    "ground": set(),
}
MODULES = sorted((ROOT / "scripts").rglob("*.py"))


def package(parts):
    """The package of a module, by the parts of its dotted name."""
    if parts[0] != "gridlaw":
        return "programs"
    return parts[1] if len(parts) > 1 and (ROOT / "scripts/gridlaw" / parts[1]).is_dir() else "ground"


def imported(file):
    """Dotted names that a module imports from the project, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: import by the whole name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name for name in names if name.split(".")[0] == "gridlaw")


@pytest.mark.parametrize("name", ARROWS)
def test_packages_import_from_those_below(name):
    names = {file: file.relative_to(ROOT / "scripts").with_suffix("").parts for file in MODULES}
    files = [file for file, parts in names.items() if package(parts) == name]
    arrows = {package(other.split(".")) for file in files for other in imported(file)}
    assert arrows - {name, "ground"} <= ARROWS[name]


def test_every_package_is_drawn_and_no_arrow_runs_back():
    packages = {file.parent.name for file in MODULES if file.parent.parent.name == "gridlaw"}
    assert packages == ARROWS.keys() - {"ground", "programs"}
    # Raises an error if there is a circle.
    TopologicalSorter(ARROWS).prepare()


def test_modules_import_no_circle():
    def module(name):
        places = [
            (ROOT / "scripts" / part.replace(".", "/")).with_suffix(".py") for part in (name, name.rpartition(".")[0])
        ]
        return next((place for place in places if place.is_file()), None)

    TopologicalSorter({file: {module(name) for name in imported(file)} - {None} for file in MODULES}).prepare()


@pytest.mark.parametrize(
    "file", [file for file in MODULES if file.name == "__init__.py"], ids=lambda file: file.parent.name
)
def test_a_package_is_a_docstring(file):
    content = ast.parse(file.read_text())
    assert ast.get_docstring(content)
    assert len(content.body) == 1


def test_no_module_is_called_like_a_program():
    modules = {file.stem for file in MODULES if file.parent.name != "scripts"}
    assert modules.isdisjoint(file.stem for file in MODULES if file.parent.name == "scripts")


def test_docstrings_name_their_subject():
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = [
        (file.name, ast.get_docstring(node) or "")
        for file in MODULES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, documented)
    ]
    assert [doc for doc in docs if re.match(r"(What|Whether|How|Where)\b", doc[1])] == []


def test_comments_do_not_begin_with_a_preposition():
    comments = []
    for file in MODULES:
        with tokenize.open(file) as stream:
            tokens = tokenize.generate_tokens(stream.readline)
            comments += [(file.name, token.string) for token in tokens if token.type == tokenize.COMMENT]
    assert [comment for comment in comments if comment[1].startswith("# Of ")] == []


def names(tree):
    """Names that a module gives to functions, parameters, variables and attributes, without leading underscores."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name.strip("_")
        elif isinstance(node, ast.arg):
            yield node.arg.strip("_")
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            yield (node.id if isinstance(node, ast.Name) else node.attr).strip("_")


def test_names_are_nouns_and_verbs():
    others = {"found", "own", "of", "one", "told", "said", "made"}
    given = {str(file): set(names(ast.parse(file.read_text()))) for file in MODULES}
    assert {file: given[file] & others for file in given if given[file] & others} == {}


def test_messages_say_what_was_expected():
    files = [name for name in repository() if not name.startswith("tests/") and (ROOT / name).is_file()]
    assert [name for name in files if b"right would be" in (ROOT / name).read_bytes()] == []
