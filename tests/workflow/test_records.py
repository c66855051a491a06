"""Records speak where Snakemake knows nothing: results without .snakemake, copied in any order, replaced by hand."""

import copy
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from conftest import configuration, finish
from plans import jobs
from snakemake.persistence.file import FilePersistence

from gridlaw import io
from gridlaw.workflow.status import Verdicts, to_run
from gridlaw.workflow.steps import SINGLE, Steps

pytestmark = pytest.mark.extended
GRID = {
    "models": ["tiny"],
    "sizes": ["2k", "4k"],
    "gpus": [1],
    "tasks": ["sentiment", "similarity"],
    "seeds": {"pretrain": [1], "finetune": [1]},
    "exclude": [],
    "corpus": "mine",
    "catalogue": {"corpora": {"mine": {"source": "files", "files": ["data/*.txt"]}}},
}
FIGURES = dict.fromkeys((*SINGLE, "all"), 1)
CELL = {"pretrain": 1, "finetune": 2, "score": 1}


@pytest.fixture
def kept(workflow):
    """Results with their records, all times in disorder, and nothing of Snakemake."""
    for name in ("results", "resources", "work", "data", ".snakemake"):
        shutil.rmtree(workflow.folder / name, ignore_errors=True)
    with chdir(workflow.folder):
        # More than Snakemake would compare by itself.
        Path("data").mkdir()
        Path("data/text.txt").write_text("word " * 300_000)
        for step in Steps(configuration(GRID)):
            finish(step)
        files = sorted(file for root in ("results", "resources", "data") for file in Path(root).rglob("*"))
        random.Random(0).shuffle(files)
        for age, file in enumerate(files):
            os.utime(file, (1e9, 1e9 - 60 * age))
    return workflow


def but(**change):
    grid = copy.deepcopy(GRID)
    for key, value in change.items():
        grid[key] = {**grid[key], **value} if isinstance(value, dict) and key in grid else value
    return grid


def test_what_is_kept_is_current(kept):
    assert kept.planned(overlay=GRID) == {}
    assert kept.planned("--persistence-backend", "db", overlay=GRID) == {}


@pytest.mark.parametrize(
    ("change", "planned", "reason"),
    [
        ({"pretrain": {"learning_rate": 1e-2, "per_model": {"tiny": {"learning_rate": 1e-2}}}},
         {"pretrain": 2, "finetune": 4, "score": 2}, "pretrain.per_model.tiny.learning_rate 3e-3 → 0.01"),
        ({"finetune": {"per_task": {"similarity": {"epochs": 2}}}},
         {"finetune": 2, "score": 2}, "finetune.per_task.similarity.epochs 5 → 2"),
        ({"sizes": ["2k", "4k", "6k"]}, {"slice": 1, **CELL}, ""),
    ],
)  # fmt: skip
def test_a_change_plans_what_it_touches(kept, change, planned, reason):
    output = kept.dry_run(overlay=but(**change))
    assert Counter(job.split()[0] for job in jobs(output)) == planned | FIGURES
    # What records alone say would run is what Snakemake plans.
    with chdir(kept.folder):
        due = Counter(step.rule for step in to_run(Verdicts(configuration(but(**change)))))
    assert due | {"all": 1} == planned | FIGURES
    # Snakemake's own job list has the reason, every time: no trace of a dry run makes it think otherwise.
    for said in (output, kept.dry_run(overlay=but(**change))):
        assert {line.partition("last execution: ")[2] for line in said.splitlines()} == {"", reason}


def test_the_grid_is_shown_before_the_job_list(kept):
    grid = but(finetune={"per_task": {"similarity": {"epochs": 2}}}, sizes=["2k", "4k", "6k"])
    done = kept.snakemake("-n", overlay=grid, environment={"COLUMNS": "80"})
    lines = done.stderr.splitlines()
    assert lines[lines.index("      2k     4k     6k") :][:6] == [
        "      2k     4k     6k",
        "tiny  ~ 2/4  ~ 2/4  ○",
        "",
        "○ new   ~ stale   k/n of its steps done",
        "",
        "~ finetune.per_task.similarity.epochs 5 → 2: tiny 2k, 4k",
    ]
    heads = {line.split("  ")[0]: line for line in lines}
    assert heads["to run"] == "to run   1 pre-training, 4 fine-tunings, 25 other jobs"
    assert heads["time"].endswith(" on 1 core")
    assert "rough estimate" in heads["compute"]
    assert "\033" not in done.stderr
    # The advice for a harmless change is one that holds.
    assert "scripts/accept.py" in done.stdout
    assert "wipe its metadata" not in done.stdout


def test_the_grid_is_shown_when_nothing_is_to_be_done(kept):
    done = kept.snakemake("-n", overlay=GRID)
    # Snakemake names its profile first.
    assert done.stderr.splitlines()[1:] == ["", "      2k  4k", "tiny  ●   ●", "", "● done", ""]
    assert "Nothing to be done" in done.stdout


def test_what_was_asked_for_in_particular(kept):
    output = kept.dry_run("--forcerun", "score", "--cores", "4", "--resources", "gpu=2", overlay=GRID)
    lines = output.splitlines()
    assert "~ requested on the command line: all cells" in lines
    assert "to run  23 other jobs" in lines
    assert any(line.startswith("time") and line.endswith("on 4 cores and 2 gpus") for line in lines)
    # One target: the grid is as it is, what would run is what was asked for.
    grid = but(finetune={"epochs": 2})
    target = "results/finetune/tiny/2k/1/1/sentiment/record.json"
    output = kept.dry_run(target, "--profile", "slurm", overlay=grid)
    assert "~ finetune.epochs 5 → 2: all cells" in output
    assert "to run   1 fine-tuning\n" in output
    assert "on 100 jobs" in output
    assert "assumes 50 TFLOP/s" in output


def test_a_command_that_changed(kept):
    """Of that Snakemake's metadata alone knows; a command supervises its program."""
    seed(kept, GRID)
    commands = kept.folder / "scripts/gridlaw/hooks/commands.py"
    before = commands.read_text()
    commands.write_text(before.replace("PYTHONUNBUFFERED=1", "PYTHONUNBUFFERED=2"))
    assert "PYTHONUNBUFFERED=2" in kept.dry_run("--forcerun", "finetune", "--printshellcmds", overlay=GRID)
    assert kept.planned(overlay=GRID) == {}
    commands.write_text(before)


def test_a_killed_run_goes_on_with_the_same_command(kept):
    """An unfinished result has no record; a finished one that Snakemake has not noted has one."""
    with chdir(kept.folder):
        model, score = Path("results/pretrain/tiny/4k/1/1"), Path("results/score/tiny/2k/1")
        (model / "record.json").unlink()
        # Tables were to come after it.
        Path("results/runs.csv").unlink()
        persistence = FilePersistence()
        for file in [*model.glob("*.json"), *score.iterdir()]:
            persistence._mark_incomplete(str(file), None)
    assert kept.planned(overlay=GRID) == {"pretrain": 1, "finetune": 2, "score": 1} | FIGURES
    assert kept.planned("--rerun-incomplete", overlay=GRID) == {"pretrain": 1, "finetune": 2, "score": 1} | FIGURES


def test_touched_is_not_accepted(kept):
    grid = but(finetune={"per_task": {"similarity": {"epochs": 2}}})
    assert kept.snakemake("--touch", "--cores", "1", overlay=grid).returncode == 0
    assert kept.planned(overlay=grid) == {"finetune": 2, "score": 2} | FIGURES


def test_a_run_says_in_a_line_what_is_ahead(kept):
    # The program fails: there are no examples.
    done = kept.snakemake(
        "--cores", "2", "results/baseline/sentiment/scores.csv", "--forcerun", "baseline", overlay=GRID
    )
    said = [line for line in done.stderr.splitlines() if "snakemake -n shows the grid" in line]
    assert len(said) == 1
    assert said[0].startswith("1 other job: about 2 s on 2 cores")


@pytest.mark.parametrize("quiet", [["--quiet"], ["--quiet", "all"], ["--quiet", "rules"]])
def test_it_is_shown_however_quiet(kept, quiet):
    assert "tiny  ~ 1/4" in kept.dry_run(*quiet, overlay=but(finetune={"epochs": 2}))


def test_a_file_of_the_user(kept):
    text = kept.folder / "data/text.txt"
    text.write_text(text.read_text())
    assert kept.planned(overlay=GRID) == {}
    text.write_text("other " * 250_000)
    os.utime(text, (1, 1))
    planned = kept.planned(overlay=GRID)
    assert planned["corpus"] == 1
    assert planned["finetune"] == 4


def test_a_result_replaced_by_hand(kept):
    file = kept.folder / "results/pretrain/tiny/2k/1/1/manifest.json"
    file.write_text("another")
    os.utime(file, (1, 1))
    assert kept.planned(overlay=GRID) == {"finetune": 2, "score": 1} | FIGURES


def test_tables_of_more_than_a_megabyte(kept):
    with chdir(kept.folder):
        of = {step.name: step for step in Steps(configuration(GRID))}
        Path("results/summary.csv").write_bytes(b"0" * (2 << 20))
        made = io.read_json("results/aggregate.json")
        summary = {"results/summary.csv": io.sha256("results/summary.csv")}
        io.write_json("results/aggregate.json", made | {"outputs": made["outputs"] | summary})
        for name in (name for name in of if name in SINGLE and name != "aggregate"):
            finish(of[name])
            # Older than its inputs.
            for output in SINGLE[name].files():
                os.utime(output, (1, 1))
    assert kept.planned(overlay=GRID) == {}


def test_a_failed_job_leaves_no_record(kept):
    target = "results/baseline/sentiment/scores.csv"
    grid = but(catalogue={"tasks": {"sentiment": {"metrics": ["f1"]}}})
    assert kept.planned(target, overlay=grid) == {"baseline": 1}
    # The program fails: the task's examples are none.
    done = kept.snakemake("--cores", "1", target, overlay=grid)
    assert done.returncode != 0
    assert "report" not in done.stderr, "nobody asked for one"
    done = kept.snakemake("--cores", "1", target, "results/report.html", "--prioritize", target, overlay=grid)
    assert done.returncode != 0
    # These records are no trainings': the report before the end gives up in a line, and the failure is told as ever.
    assert "writing a report of the results so far" in done.stderr
    assert (
        len(re.findall(r"^no report: aggregate: .*; see results/so_far/aggregate.log$", done.stderr, re.MULTILINE)) == 1
    )
    assert "At least one job did not complete successfully" in done.stderr
    assert not (kept.folder / "results/baseline/sentiment/record.json").exists()
    assert kept.planned(target, overlay=GRID) == {"baseline": 1}


def script(workflow, name, *arguments):
    done = subprocess.run(
        [sys.executable, f"scripts/{name}.py", *arguments], cwd=workflow.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_accepted_change_is_not_planned(kept):
    grid = but(finetune={"per_task": {"similarity": {"epochs": 2}}})
    assert kept.planned(overlay=grid) == {"finetune": 2, "score": 2} | FIGURES
    # Snakemake's own metadata would have it otherwise.
    seed(kept, GRID)
    assert kept.planned(overlay=GRID) == {}
    assert kept.planned(overlay=grid) == {"finetune": 2, "score": 2} | FIGURES
    script(kept, "accept", "tiny", "--note", "it had converged", "--configfile", "overlay.yaml")
    assert kept.planned(overlay=grid) == FIGURES
    assert "accepted: it had converged" in script(kept, "explain", "tiny", "2k", "1", "--configfile", "overlay.yaml")
    further = but(finetune={"per_task": {"similarity": {"epochs": 3}}})
    assert kept.planned(overlay=further) == {"finetune": 2, "score": 2} | FIGURES


def test_adopted_cells_are_not_planned(kept, tmp_path):
    apart = tmp_path / "unpacked"
    apart.mkdir()
    for name in ("results", "resources"):
        shutil.move(kept.folder / name, apart / name)
    whole = sum(kept.planned(overlay=GRID).values())
    said = script(kept, "adopt", str(apart), "tiny", "2k", "--configfile", "overlay.yaml")
    assert "adopted: score tiny 2k 1" in said
    # Ten steps: the data's, and the cell's own.
    assert sum(kept.planned(overlay=GRID).values()) == whole - len(said.splitlines()[:-1])
    script(kept, "adopt", str(apart), "--configfile", "overlay.yaml")
    assert kept.planned(overlay=GRID) == {"baseline": 2} | FIGURES


def seed(workflow, grid):
    """Write Snakemake's metadata of all results, as if it had made them."""
    program = """
import asyncio, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, ExecutionSettings, OutputSettings, ResourceSettings
with SnakemakeApi(OutputSettings(dryrun=True)) as api:
    whole = api.workflow(
        resource_settings=ResourceSettings(cores=1), config_settings=ConfigSettings(configfiles=[Path("overlay.yaml")]),
        snakefile=Path("Snakefile"),
    )
    dag = whole.dag()
    dag.summary()
    inner = whole._workflow
    inner.execution_settings = ExecutionSettings()
    async def finish():
        for job in inner.dag.jobs:
            await inner.persistence.finished(job)
    asyncio.run(finish())
"""
    (workflow.folder / "overlay.yaml").write_text(yaml.safe_dump(grid))
    subprocess.run([sys.executable, "-c", program], cwd=workflow.folder, check=True, capture_output=True)
