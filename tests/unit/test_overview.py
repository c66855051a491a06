"""The grid as people see it in a terminal."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, begin, configuration, finish
from snakemake.utils import update_config

from gridlaw.views.overview import Overview
from gridlaw.views.terminal import Terminal, shorten
from gridlaw.workflow.reasons import DefinitionReason
from gridlaw.workflow.status import Verdicts, causes, to_run
from gridlaw.workflow.steps import Steps

GRID = {
    "models": ["tiny", "small"],
    "sizes": [0, "1k", "8k"],
    "gpus": [1, 2],
    "tasks": ["sentiment"],
    "seeds": {"pretrain": [1], "finetune": [1]},
    "exclude": [{"size": 0, "gpus": 2}, {"model": "small", "size": 0}],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def but(**change):
    grid = dict(GRID)
    update_config(grid, change)
    return configuration(grid)


def done(config, *prefixes):
    """Finish the steps whose names begin so, and all that they are made from."""
    wanted = set()

    def want(step):
        wanted.add(step)
        for earlier in step.after:
            want(earlier)

    steps = list(Steps(config))
    for step in steps:
        if step.name.startswith(prefixes):
            want(step)
    for step in steps:
        if step in wanted:
            finish(step)


def overview(config):
    verdicts = Verdicts(config)
    due = to_run(verdicts)
    return Overview(verdicts, due, causes(verdicts, due, {}))


def shown(config, width=80, **terminal):
    return list(overview(config).lines(Terminal(width, **terminal)))


def test_new(folder):
    assert shown(but()) == [
        "       0  1k   8k",
        "gpus   1  1 2  1 2",
        "tiny   ○  ○ ○  ○ ○",
        "small     ○ ○  ○ ○",
        "",
        "○ new",
    ]


def test_partly_done(folder):
    done(but(), "score tiny 0", "pretrain tiny 1k", "finetune tiny 1k", "pretrain small 8k 2")
    assert shown(but()) == [
        "       0  1k           8k",
        "gpus   1  1     2      1 2",
        "tiny   ●  ◐ 2/3 ●      ○ ○",
        "small     ○     ○      ○ ●",
        "",
        "● done   ◐ partly done   ○ new   k/n of its steps done",
    ]


def test_stale(folder):
    done(but(), "figure")
    lines = shown(but(pretrain={"per_model": {"tiny": {"learning_rate": 0.5}}}, finetune={"epochs": 9}))
    assert lines == [
        "       0      1k           8k",
        "gpus   1      1     2      1     2",
        "tiny   ~ 1/3  ~ 0/3 ~ 0/1  ~ 0/3 ~ 0/1",
        "small         ~ 1/3 ●      ~ 1/3 ●",
        "",
        "● done   ~ stale   k/n of its steps done",
        "",
        "~ pretrain.per_model.tiny.learning_rate 3e-3 → 0.5: tiny 1k, 8k",
        "~ finetune.epochs 5 → 9: all cells on gpus 1",
    ]


def test_each_reason_once(folder):
    done(but(), "figure")
    assert shown(but(finetune={"epochs": 9}, data={"seed": 7}))[-2:] == [
        "~ data.seed 1 → 7: all cells",
        "~ finetune.epochs 5 → 9: all cells on gpus 1",
    ]


def test_changed_definitions_of_a_file_share_a_line(folder):
    done(but(), "figure")
    verdicts = Verdicts(but())
    step = next(step for step in verdicts.steps if step.name == "pretrain tiny 1k 1 1")
    labels = [f"scripts/gridlaw/a.py: f{number}" for number in range(5)]
    lines = ["pretrain.seed 1 → 2", *(DefinitionReason(label, "changed") for label in labels)]
    lines.append("scripts/pretrain.py changed, or what it imports")
    grid = Overview(verdicts, {step}, {step: dict.fromkeys(lines, step)})
    assert " ".join(line.strip() for line in grid.reasons(Terminal(200))) == (
        "~ pretrain.seed 1 → 2; scripts/pretrain.py changed, or what it imports;"
        " scripts/gridlaw/a.py: f0 changed, f1 changed, f2 changed and 2 more: tiny 1k on gpus 1"
    )


def test_failed_and_interrupted(folder):
    steps = {step.name: step for step in Steps(but())}
    for name in ("pretrain tiny 1k 1 1", "pretrain tiny 8k 1 1"):
        log = Path(steps[name].log)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("error: no space left on device\n")
    (begin(steps["pretrain small 8k 1 1"]) / "checkpoint-40").mkdir()
    assert shown(but())[2:] == [
        "tiny   ○  ✗ 0/3 ○      ✗ 0/3 ○",
        "small     ○     ○      ◐ 0/3 ○",
        "",
        "◐ partly done   ○ new   ✗ failed   k/n of its steps done",
        "",
        "✗ failed: pretrain tiny 1k 1 1 and 1 more: no space left on device",
        "◐ interrupted: pretrain small 8k 1 1: resumes from optimizer step 40",
    ]


def test_a_narrow_terminal(folder):
    done(but(), "score tiny 0", "pretrain tiny 1k", "finetune tiny 1k", "pretrain small 8k 2")
    assert shown(but(), width=24) == [
        "       0   1k  8k",
        "gpus   12  12  12",
        "tiny   ●   ◐●  ○○",
        "small      ○○  ○●",
        "",
        "● done   ◐ partly done",
        "○ new",
    ]
    assert shown(but(), width=13)[:9] == [
        "       0", "gpus   12", "tiny   ●", "small", "",
        "       1k", "gpus   12", "tiny   ◐●", "small  ○○",
    ]  # fmt: skip


def test_hundreds_of_cells(folder):
    shape = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 2}
    models = [f"a-model-with-a-name-that-is-long-{number}" for number in range(20)]
    config = configuration(
        {**GRID, "models": models, "sizes": [0, *(f"{n}k" for n in range(1, 12))], "gpus": [1, 2, 4, 8, 16], "exclude": [],
         "catalogue": {"models": {model: {"model_type": "bert", "shape": shape} for model in models}}},
    )  # fmt: skip
    for width, blocks in ((80, 2), (160, 1)):
        lines = shown(config, width)
        assert max(map(len, lines)) <= width
        assert len(lines) == blocks * (20 + 2) + 1
        assert lines[-1] == "○ new   marks of a size: gpus 1, 2, 4, 8, 16"
        assert len({line.split("  ")[0] for line in lines if "○○" in line}) == 20, "shortened names stay apart"


def test_cells_in_few_words(folder):
    config = but()
    named, cells = overview(config).describe, overview(config).cells
    assert named(cells) == "all cells"
    assert named([cell for cell in cells if cell.model == "tiny"]) == "tiny, all sizes"
    assert named([cell for cell in cells if cell.size == "8k"]) == "tiny, small 8k"
    assert named([cell for cell in cells if cell.size == "8k" and cell.gpus == 2]) == "tiny, small 8k on gpus 2"
    some = [cell for cell in cells if cell.model == "tiny" or (cell.size, cell.gpus) == ("1k", 1)]
    assert named(some) == "tiny, all sizes; small 1k on gpus 1"
    assert named([cell for cell in cells if cell.gpus == 1 and cell.model == "tiny"]) == "tiny, all sizes on gpus 1"
    assert named([cell for cell in cells if cell.gpus == 1]) == "all cells on gpus 1"


def test_colours_and_plain_characters(folder):
    assert shown(but(), colour=True)[2] == "tiny   " + "  ".join(
        ["\033[2m○\033[0m", *["\033[2m○\033[0m \033[2m○\033[0m"] * 2]
    )
    assert shown(but(), unicode=False)[2] == "tiny   .  . .  . ."


def test_terminals(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    piped = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    assert Terminal.from_stream(piped) == Terminal(80, False, True)
    monkeypatch.setenv("COLUMNS", "120")
    assert Terminal.from_stream(io.TextIOWrapper(io.BytesIO(), encoding="ascii")) == Terminal(120, False, False)


def test_a_name_keeps_its_end():
    assert shorten("short", 10) == "short"
    assert shorten("a-long-name-that-ends-in-12", 12) == "a-lon..in-12"


def test_no_torch():
    modules = "gridlaw.views.overview, gridlaw.views.estimate_text, gridlaw.hooks.preview, gridlaw.hooks.records"
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); import {modules}; print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_notes_of_records_are_shown_once(folder):
    config = configuration(GRID)
    note = "catalogue.tokenizers.wordpiece: 12 % of the characters of the training text are unknown to the tokenizer"
    for step in Steps(config):
        finish(step, **({"notes": [note]} if step.rule in ("pack", "finetune") else {}))
    text = " ".join(" ".join(overview(config).lines(Terminal(80))).split())
    assert text.count(f"! {note}") == 1
