"""gridlaw in other workflows: as a module, deployed by snakedeploy, and from any folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Workflow

# A grid that takes seconds.
GRID = {
    "models": ["tiny"], "sizes": [0], "gpus": [1], "tasks": ["sentiment"], "exclude": [],
    "seeds": {"pretrain": [1], "finetune": [1]},
    "catalogue": {"tasks": {"sentiment": {"train_size": 40, "validation_size": 40}}, "corpora": {"toy": {"words": 20000}}},
    "data": {"held_out_words": 500}, "finetune": {"epochs": 1},
}  # fmt: skip
# Rules of another workflow: one that takes a table, one whose file lies in the folder of a result, one without files.
IMPORTING = """
configfile: "config.yaml"

rule summary:
    input: "results/scores.csv", "results/pretrain/tiny/0/1/1/note.txt"
    output: "summary.txt"
    params: config["mine"]
    shell: "echo ${{PYTHONUNBUFFERED-unset}} > {output}; wc -l < {input[0]} >> {output}"

rule note:
    output: "results/pretrain/tiny/0/1/1/note.txt"
    shell: "touch {output}"

module gridlaw:
    snakefile: SNAKEFILE
    config: config["gridlaw"]

USE
"""
PREFIXED, PLAIN = "use rule * from gridlaw as gridlaw_*", "use rule * from gridlaw"
STEPS = {"corpus", "segments", "tokenizer", "pack", "pretrain", "task", "finetune", "score", "baseline", "aggregate"}


def importing(
    folder: Path, use: str = PLAIN, snakefile: Path | str = ROOT / "Snakefile", grid: dict = GRID
) -> Workflow:
    """A workflow in a folder that uses gridlaw as a module."""
    workflow = Workflow.__new__(Workflow)
    workflow.folder = folder
    folder.mkdir(parents=True, exist_ok=True)
    source = snakefile if str(snakefile).startswith("github(") else repr(str(snakefile))
    (folder / "Snakefile").write_text(IMPORTING.replace("SNAKEFILE", source).replace("USE", use))
    (folder / "config.yaml").write_text(yaml.safe_dump({"mine": 1, "gridlaw": grid}))
    return workflow


@pytest.mark.parametrize(("use", "prefix"), [(PLAIN, ""), (PREFIXED, "gridlaw_")], ids=["plain", "prefixed"])
def test_what_a_module_plans(tmp_path, use, prefix):
    workflow = importing(tmp_path, use)
    planned = workflow.planned()
    assert planned == {prefix + name: 1 for name in STEPS} | {"summary": 1, "note": 1}
    output = workflow.dry_run()
    assert "to run   1 pre-training, 1 fine-tuning, 8 other jobs" in output
    assert f"{ROOT}/scripts/pretrain.py" in workflow.dry_run("--printshellcmds")
    assert {prefix + "figure_laws", prefix + "report"} <= workflow.planned(f"{prefix}all").keys()


def test_single_rules_of_a_module(tmp_path):
    use = f"{PREFIXED}\n\nuse rule pretrain from gridlaw as gridlaw_pretrain with:\n    threads: 1\n"
    workflow = importing(tmp_path, use)
    output = workflow.dry_run()
    assert output.count("to run   1 pre-training") == 1
    assert workflow.planned()["gridlaw_pretrain"] == 1


@pytest.mark.parametrize(
    ("grid", "more", "line"),
    [
        (
            GRID | {"models": ["tiney"]},
            "",
            "config: models: tiney is not in the catalogue; expected one of tiny, small, ",
        ),
        (GRID, '    prefix: "grid"\n', "error: the module's prefix: or replace_prefix: changes resources/; expected a"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, grid, more, line):
    workflow = importing(tmp_path, grid=grid)
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace("module gridlaw:\n", f"module gridlaw:\n{more}"))
    done = workflow.snakemake("--cores", "1")
    assert done.returncode == 1
    (only,) = done.stderr.splitlines()
    assert only.startswith(line)


def test_it_is_planned_from_any_folder(tmp_path):
    snakefile = os.path.relpath(ROOT / "Snakefile", tmp_path)
    command = [sys.executable, "-m", "snakemake", "-n", "-s", snakefile, "--config", "tasks=[sentiment]"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "to run " in done.stderr
    assert (tmp_path / ".snakemake").is_dir()


def deploy(folder: Path, source: str) -> Workflow:
    """Write the files that `snakedeploy deploy-workflow REPOSITORY FOLDER --tag v1` would write."""
    workflow = Workflow.__new__(Workflow)
    workflow.folder = folder
    for name in ("config", "profiles"):
        subprocess.run(["cp", "-rL", ROOT / name, folder], check=True)
    (folder / "workflow").mkdir()
    (folder / "workflow/Snakefile").write_text(
        "from snakemake.utils import min_version\n\n\nmin_version('6.10.0')\n\n\n"
        "configfile: 'config/config.yaml'\n\n\n# declare it as a module\n"
        f"module gridlaw:\n    snakefile:\n        {source}\n    config:\n        config\n\n\n"
        "# use all rules from it\nuse rule * from gridlaw\n"
    )
    return workflow


def test_a_deployed_workflow(tmp_path):
    """From a host of repositories, of which Snakemake fetches the files one by one."""
    origin = Workflow(tmp_path / "origin").folder
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "--all"], [*identity, "commit", "-q", "-m", "all"], ["tag", "v1"]):
        subprocess.run(["git", *command], cwd=origin, check=True)
    (tmp_path / "gitconfig").write_text(f'[url "file://{origin}"]\n    insteadOf = https://github.com/owner/gridlaw\n')
    (tmp_path / "deployed").mkdir()
    workflow = deploy(tmp_path / "deployed", 'github("owner/gridlaw", path="Snakefile", tag="v1")')
    environment = {
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GITHUB_TOKEN": "",
    }
    for _ in range(2):
        done = workflow.snakemake("-n", "--printshellcmds", environment=environment)
        assert done.returncode == 0, done.stderr
        assert "to run " in done.stderr
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=origin, check=True, capture_output=True, text=True).stdout
    (program,) = (tmp_path / "cache").rglob(f"gridlaw/{commit.strip()}/scripts/pretrain.py")
    assert str(program) in done.stdout + done.stderr


@pytest.mark.extended
def test_a_module_that_is_really_run(tmp_path):
    use = f"{PREFIXED}\n\nonstart:\n    gridlaw.onstart()\n"
    workflow = importing(tmp_path / "folder with space", use)
    done = workflow.snakemake("--cores", "2", environment={"PYTHONUNBUFFERED": "0"})
    assert done.returncode == 0, done.stderr + workflow.logs()
    # The environment of the other rules is their own. The table has a header, and a row for each metric.
    assert (workflow.folder / "summary.txt").read_text().split() == ["0", "3"]
    assert workflow.dry_run().count("Nothing to be done") == 1
    # The other rules follow Snakemake's metadata, and the grid its records.
    settings = yaml.safe_load((workflow.folder / "config.yaml").read_text())
    (workflow.folder / "config.yaml").write_text(yaml.safe_dump(settings | {"mine": 2}))
    output = workflow.dry_run()
    assert "wipe its metadata" in output
    assert "scripts/accept.py" not in output
    assert workflow.planned() == {"summary": 1}
    settings["gridlaw"]["finetune"]["epochs"] = 2
    (workflow.folder / "config.yaml").write_text(yaml.safe_dump(settings))
    output = workflow.dry_run()
    assert "~ finetune.epochs 1 → 2: all cells" in output
    assert "wipe its metadata" not in output
    assert "scripts/accept.py" in output
    assert workflow.planned() == {"gridlaw_finetune": 1, "gridlaw_score": 1, "gridlaw_aggregate": 1, "summary": 1}
