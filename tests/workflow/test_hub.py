"""A grid whose corpus, task and checkpoint come from a hub; once they are fetched, the hub may go."""

import copy
import json

import pandas as pd
import pytest
from hub import COMMIT, GRID, fill, serve

from gridlaw.workflow.steps import SINGLE

pytestmark = pytest.mark.extended
TABLES = "results/scores.csv"


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    fill(folder)
    return folder


def test_fetched_once_then_offline(workflow, repositories, tmp_path):
    with serve(repositories) as address:
        environment = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        fetched = workflow.snakemake(
            "-c2", "--until", "corpus", "task", "checkpoint", overlay=GRID, environment=environment
        )
        assert fetched.returncode == 0, fetched.stderr + workflow.logs()
    done = workflow.snakemake("-c2", TABLES, overlay=GRID, environment=environment)
    assert done.returncode == 0, done.stderr + workflow.logs()
    assert workflow.undone(GRID).keys() < SINGLE.keys(), "what comes of tables"

    manifest = json.loads((workflow.folder / "resources/corpus/stories/manifest.json").read_text())
    assert manifest["commit"] == COMMIT
    assert manifest["documents"] == 260
    segments = json.loads((workflow.folder / "resources/segments/stories/manifest.json").read_text())
    assert segments["train"]["documents"] == 200, "held-out documents come from their own split"
    scores = pd.read_csv(workflow.folder / "results/scores.csv")
    assert set(scores["train_examples"].dropna()) == {8, 40}
    assert scores[scores["metric"] == "accuracy"]["value"].between(0, 1).all()
    runs = pd.read_csv(workflow.folder / "results/runs.csv")
    assert runs["held_out_loss"].notna().all(), "the checkpoint brought a masked-LM head"


@pytest.mark.parametrize(
    ("kind", "name", "fetched", "kept"),
    [
        ("corpora", "stories", "corpus", {"checkpoint", "task", "baseline"}),
        ("tasks", "pairs", "task", {"corpus", "segments", "pack", "slice", "checkpoint", "pretrain"}),
        ("models", "released", "checkpoint", {"corpus", "segments", "task", "baseline"}),
    ],
)
def test_a_revision_is_fetched_anew(workflow, kind, name, fetched, kept):
    assert workflow.planned(TABLES, overlay=GRID) == {}
    grid = copy.deepcopy(GRID)
    grid["catalogue"][kind][name]["revision"] = "v2"
    planned = workflow.planned(TABLES, overlay=grid)
    assert planned[fetched] == 1
    assert {"finetune", "score", "aggregate"} <= planned.keys()
    assert not kept & planned.keys()


def test_missing_repository_is_one_line(workflow, repositories, tmp_path):
    grid = copy.deepcopy(GRID)
    grid["catalogue"]["models"]["released"]["pretrained"] = "someone/nothing"
    with serve(repositories) as address:
        environment = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        target = "resources/checkpoint/released/manifest.json"
        done = workflow.snakemake(target, "-c1", "--forcerun", "checkpoint", overlay=grid, environment=environment)
    assert done.returncode != 0, done.stderr
    log = (workflow.folder / "logs/checkpoint/released.log").read_text()
    assert "error: model someone/nothing at revision main cannot be fetched" in log
    assert "Traceback" not in log
