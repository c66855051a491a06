"""The report of a grid that is not finished: what runs it, and what it leaves alone."""

import re
from pathlib import Path

import pytest
import synthetic
from conftest import ROOT, finish

from gridlaw import io
from gridlaw.cli import Failure
from gridlaw.hooks.commands import shell_command
from gridlaw.views import console, partial_report
from gridlaw.workflow.status import Verdicts
from gridlaw.workflow.steps import Steps

GRID = {
    "models": ["tiny"], "sizes": ["8k", "32k"], "gpus": [1, 2], "tasks": ["sentiment"], "seeds": {"pretrain": [1], "finetune": [1]},
    "exclude": [{"gpus": 2, "size": "8k"}],
}  # fmt: skip


@pytest.fixture
def grid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return synthetic.write(GRID)


def test_programs_get_the_options_that_rules_give_them(grid):
    for step in Steps(grid):
        if step.kind.single:
            given = set(re.findall(r"--([\w-]+)", " ".join(map(str, partial_report.line(step, "snakemake")))))
            by_rule = set(re.findall(r"--([\w-]+)", shell_command(step.kind, {})))
            assert given - by_rule == ({"states"} if step.rule == "report" else set())
            assert by_rule <= given


def test_everything_is_written_in_a_folder_of_its_own(grid):
    for step in Steps(grid):
        if step.kind.single:
            line = partial_report.line(step, "snakemake")
            assert partial_report.FOLDER in Path(line[line.index("--record") + 1]).parents
    assert partial_report.place("results/figures/loss.svg") == "results/so_far/figures/loss.svg"
    assert partial_report.place("resources/pack/toy/wordpiece/manifest.json") == (
        "resources/pack/toy/wordpiece/manifest.json"
    )


def test_a_whole_report_is_left_alone(grid):
    for step in Steps(grid):
        if step.kind.single:
            finish(step)
    before = partial_report.REPORT.read_text()
    assert partial_report.write(grid, "snakemake") == partial_report.REPORT
    assert partial_report.REPORT.read_text() == before
    assert partial_report.RECORD.exists()
    assert not partial_report.FOLDER.exists()


def test_nothing_to_report_yet(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    config = synthetic.write(GRID, lambda step: step.rule in ("pretrain", "ranks", "finetune", "score"))
    with pytest.raises(Failure, match="nothing is pre-trained yet"):
        partial_report.write(config, "snakemake")
    assert not partial_report.REPORT.exists()
    partial_report.after_failure(config, "snakemake")
    assert "no report: results: nothing is pre-trained yet\n" in capfd.readouterr().err


def test_it_takes_no_longer_than_it_may(grid):
    partial_report.REPORT.write_text("the page before")
    with pytest.raises(Failure, match="it takes longer than 0 s"):
        partial_report.write(grid, "snakemake", patience=0)
    assert partial_report.REPORT.read_text() == "the page before"


def test_states(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = synthetic.write(GRID, lambda step: step.rule in ("finetune", "score") and "32k" in step.wildcards.values())
    log = tmp_path / "logs/finetune/tiny/32k/1/1/sentiment.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: the disk is full")
    found = partial_report.describe(Verdicts(config))
    assert [(cell["size"], cell["gpus"], cell["state"], cell["done"], cell["total"]) for cell in found["cells"]] == [
        ("8k", 1, "done", 3, 3), ("32k", 1, "failed", 1, 3), ("32k", 2, "done", 1, 1),
    ]  # fmt: skip
    assert found["notes"] == ["✗ failed: finetune tiny 32k 1 1 sentiment: the disk is full"]
    assert found["to_do"]["to run"].startswith("1 fine-tuning, ")


def test_the_command_that_makes_it_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert console.command([], ROOT) == "snakemake --cores all"
    overlays = [ROOT / "grids/novels.yaml", "my grid.yaml"]
    assert console.command(overlays, ".", ["tasks=[mrpc]"]) == (
        f"snakemake --cores all --configfile grids/novels.yaml '{tmp_path}/my grid.yaml' --directory {tmp_path} --config 'tasks=[mrpc]'"
    )


def test_a_tokenizer_that_is_not_packed_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid = GRID | {"models": ["tiny", "roberta-mini"], "gpus": [1], "exclude": []}

    def is_missing(step):
        return "bpe" in step.wildcards.values() or "roberta-mini" in step.wildcards.values()

    config = synthetic.write(grid, is_missing)
    assert not Path("resources/pack/toy/bpe").exists()
    assert partial_report.write(config, "snakemake") == partial_report.REPORT
    page = partial_report.REPORT.read_text()
    assert "4 % of the characters (train) and 4 % of the characters (held out) are unknown to the tokenizer." in page
    assert "10,000 words of 3 documents, 2 of them in part because they are long" in page


RELEASED = {
    "sizes": [0],
    "corpus": None,
    "models": ["released"],
    "catalogue": {"models": {"released": {"pretrained": "a/b", "revision": "main"}}},
}


@pytest.mark.parametrize(
    ("overlay", "left_out"),
    [({"sizes": ["8k"]}, ("finetune", "score", "baseline")), (RELEASED, ())],
    ids=["pre-trained and no more", "no corpus"],
)
def test_little_is_reported(tmp_path, monkeypatch, overlay, left_out):
    monkeypatch.chdir(tmp_path)
    config = synthetic.write(GRID | {"gpus": [1], "exclude": []} | overlay, lambda step: step.rule in left_out)
    io.write_json(partial_report.RECORD, {"of": "an earlier grid"})
    assert partial_report.write(config, "snakemake --cores all") == partial_report.REPORT
    page = partial_report.REPORT.read_text()
    assert ("This grid is not finished. Its 1 cells: 1 partly done." in page) == bool(left_out)
    assert "snakemake --cores all" in page
    assert not partial_report.RECORD.exists(), "without its record it counts as not made"
    assert [path.name for path in tmp_path.glob("results/.*")] == [], "nothing is left beside it"
