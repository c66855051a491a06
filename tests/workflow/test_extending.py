"""The examples of docs/extending.md: a family, a kind of task and a metric, by one new file each."""

import re
import shutil

import pandas as pd
import pytest
import yaml
from conftest import ROOT, Workflow, configuration

from gridlaw.workflow import identity
from gridlaw.workflow.steps import Steps

EXAMPLES = dict(
    re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", (ROOT / "docs/extending.md").read_text(), re.MULTILINE | re.DOTALL)
)
PLUGINS = {name: text for name, text in EXAMPLES.items() if name.endswith(".py")}


@pytest.fixture
def extended(tmp_path):
    """A copy of the repository with the new files, and data for the task."""
    workflow = Workflow(tmp_path / "extended")
    for name, text in EXAMPLES.items():
        assert not (workflow.folder / name).exists(), "a file that is edited"
        (workflow.folder / name).write_text(text)
    data = workflow.folder / "data"
    data.mkdir()
    for name in ("train.csv", "dev.csv"):
        rows = [{"body": " ".join(["word", *["comma"] * (number % 5)]), "label": number % 5} for number in range(60)]
        pd.DataFrame(rows).to_csv(data / name, index=False)
    return workflow


def test_one_file_each():
    assert [name.rpartition("/")[0] for name in PLUGINS] == [
        "scripts/gridlaw/models/families", "scripts/gridlaw/tasks/kinds", "scripts/gridlaw/tasks/metrics",
    ]  # fmt: skip


def test_nothing_becomes_stale(tmp_path):
    scripts = shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in PLUGINS.items():
        (tmp_path / name).write_text(text)
    for step in {step.rule: step for step in Steps(configuration())}.values():
        modules = step.kind.plugin_modules(step.recipe)
        assert identity.find(scripts / step.program.name, modules)["digest"] == step.code, step.rule


@pytest.mark.extended
def test_a_grid_of_the_new_kinds(extended):
    done = extended.snakemake("--cores", "2", "all", "--configfile", "grids/extended.yaml")
    assert done.returncode == 0, done.stderr
    runs = pd.read_csv(extended.folder / "results/runs.csv")
    assert runs["status"].eq("done").all()
    scores = pd.read_csv(extended.folder / "results/scores.csv")
    assert set(scores["metric"]) >= {"kendall"}
    assert scores["value"].between(-1, 1).all()
    family = yaml.safe_load((extended.folder / "results/pretrain/mine/4k/1/1/model/config.json").read_text())
    assert family["model_type"] == "camembert"
    predictions = pd.read_parquet(extended.folder / "results/finetune/mine/4k/1/1/commas/predictions.parquet")
    assert (predictions["prediction"] > 0).all(), "the exponential of an output"
