"""After an edit of the code, a training that was killed resumes if a person accepts it, and starts afresh otherwise."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Workflow
from world import GRID, write_data

from gridlaw import io

pytestmark = pytest.mark.extended
CELL = "pretrain/alpha/4k/1/1"
RECORD = f"results/{CELL}/record.json"
# A formula, and another one with the same values.
FORMULA, EQUAL = "return (step + 1) / self.warmup", "return (1 + step) / self.warmup"


def small_grid():
    """One training that saves often, and lasts long enough to be killed."""
    grid = copy.deepcopy(GRID)
    grid |= {"models": ["alpha"], "sizes": ["4k"], "gpus": [1], "exclude": [], "checkpoint_minutes": 0.002}
    grid["pretrain"] |= {"passes": 20, "per_model": {}}
    return grid


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A clone in which the training's inputs are made."""
    workflow = Workflow(tmp_path_factory.mktemp("clone"))
    write_data(workflow.folder)
    finish(workflow, "resources/slice/letters/wordpiece/4k/manifest.json")
    return workflow


def finish(workflow, target=RECORD):
    done = workflow.snakemake("--cores", "1", target, overlay=small_grid())
    assert done.returncode == 0, done.stderr + workflow.logs()


@pytest.fixture(scope="module")
def weights(data, tmp_path_factory):
    """Digest of the weights of a training in one go."""
    workflow = Workflow(tmp_path_factory.mktemp("in one go"), data.folder)
    finish(workflow)
    return digest(workflow)


def digest(workflow):
    return io.sha256(workflow.folder / f"results/{CELL}/model/model.safetensors")


@pytest.fixture
def edited(data, tmp_path):
    """A clone whose training was killed, and whose code was edited then."""
    workflow = Workflow(tmp_path / "killed", data.folder)
    kill(workflow)
    file = workflow.folder / "scripts/gridlaw/training/schedule.py"
    source = file.read_text()
    assert source.count(FORMULA) == 1
    file.write_text(source.replace(FORMULA, EQUAL))
    return workflow


def kill(workflow):
    """Run the training, and kill it with its first checkpoints."""
    work = workflow.folder / "work" / CELL
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(workflow.snakemake, "--cores", "1", RECORD, overlay=small_grid())
        while not list(work.glob("checkpoint-*/seal.json")):
            assert not run.done(), run.result().stderr + workflow.logs()
            time.sleep(0.01)
        os.kill(json.loads((work / "attempts.jsonl").read_text().splitlines()[0])["pid"], signal.SIGKILL)
    assert run.result().returncode != 0
    assert not (workflow.folder / RECORD).exists()


def program(workflow, name, *arguments):
    """Run one of the programs for people in a clone; gives what it prints, in one line."""
    command = [sys.executable, f"scripts/{name}.py", *arguments, "--configfile", "overlay.yaml"]
    done = subprocess.run(command, cwd=workflow.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def log(workflow):
    return Path(workflow.folder, "logs", f"{CELL}.log").read_text()


CHANGED = "scripts/gridlaw/training/schedule.py: Schedule changed"


def test_accepted(edited, weights):
    assert f"starts again: {CHANGED}" in program(edited, "explain", "alpha", "4k")
    accepted = program(edited, "accept", "alpha", "4k", "--note", "the sum is the same")
    assert f"{CHANGED} interrupted: resumes from optimizer step" in accepted
    assert "resumes from optimizer step" in program(edited, "explain", "alpha", "4k")
    finish(edited)
    assert "resuming from optimizer step" in log(edited)
    assert digest(edited) == weights
    facts = io.read_json(edited.folder / RECORD)
    assert facts["steps_here"] < facts["steps"]
    assert [(entry["note"], entry["differed"]) for entry in facts["accepted"]] == [("the sum is the same", [CHANGED])]
    assert "accepted: the sum is the same" in program(edited, "explain", "alpha", "4k")


def test_not_accepted(edited, weights):
    finish(edited)
    assert f"deleted the files of an earlier attempt: {CHANGED}\n" in log(edited)
    assert "resuming from optimizer step" not in log(edited)
    assert digest(edited) == weights
    assert io.read_json(edited.folder / RECORD)["steps_here"] == io.read_json(edited.folder / RECORD)["steps"]
