"""Each count of tokens has one name from the slice to the figures, and compute is what the runs took."""

import json
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import aggregate
import figure_loss
import figure_parameters
import figure_residuals
import laws
import numpy as np
import pandas as pd
import pytest
import slice as slice_program
from transformers import BertConfig, BertForMaskedLM

from gridlaw import io, legacy, tables
from gridlaw.data import rows
from gridlaw.training import pretraining

# A segment has 10 tokens in the grid's tokenizer and 8 in the models' own; with its [SEP] it fills a row of 10.
SEGMENTS, GRID, OWN, ROW = 12, 10, 8, 10
SIZES = {"20": 2, "40": 4, "80": 8}
PASSES, BATCH, MASKED = 10, 2, 0.25
# Weights of the matrices in the body and in the head, and FLOPs of attention for a position, 12 x row x hidden.
MODELS = {"tiny": (4, 4 * 16 + 2 * 32, 16 + 80, 12 * ROW * 4), "small": (8, 4 * 64 + 2 * 64, 64 + 160, 12 * ROW * 8)}
RECIPE = {
    "batch_size": BATCH, "mask_rate": MASKED, "passes": PASSES, "schedule": "independent", "decay_shape": "linear",
    "decay_ratio": 1.0, "warmup_tokens": 0, "held_out_mask_rate": 0.15,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pack(name: str, length: int) -> None:
    """Rows of a tokenizer that makes so many tokens of a segment."""
    Path(name).mkdir()
    packer = rows.Packer(f"{name}/rows.bin", ROW, True, rows.Special(cls=1, sep=2, pad=0), 20)
    packer.add([[5] * length] * SEGMENTS)
    ends, tokens = packer.close()
    index = {"document": range(SEGMENTS), "words": 5, "bytes": 30, "tokens": tokens, "end": ends}
    pd.DataFrame(index).to_parquet(f"{name}/index.parquet")
    io.write_json(f"{name}/manifest.json", {"row_length": ROW, "pad": 0, "dtype": "uint16"})


def slices(program) -> None:
    pack("grid", GRID)
    pack("own", OWN)
    for size in SIZES:
        program(
            slice_program, "--recipe", f'{{"size_tokens": {size}}}', "--grid-index", "grid/index.parquet",
            "--grid-pack", "grid/manifest.json", "--index", "own/index.parquet", "--rows", "own/rows.bin",
            "--pack", "own/manifest.json", "--manifest", f"slice/{size}.json", "--record", "slice/record.json",
        )  # fmt: skip


def train(model: str, size: str) -> dict:
    """The record of a run that took all its optimizer steps."""
    hidden = MODELS[model][0]
    shape = {"num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8, "vocab_size": 20}
    network = BertForMaskedLM(BertConfig(hidden_size=hidden, **shape))
    args = Namespace(recipe=RECIPE, slice=f"slice/{size}.json")
    plan = pretraining.Plan.make(RECIPE, rows.open_slice("own/rows.bin", args.slice))
    history = [{"step": plan.steps // 2, "loss": 2.5}, {"step": plan.steps, "loss": 2.0}]
    trainer = SimpleNamespace(
        state=SimpleNamespace(global_step=plan.steps, log_history=history), first_step=0, seconds=1.0,
        times=SimpleNamespace(seconds=[0.1] * plan.steps),
    )  # fmt: skip
    loss = {"tiny": 2.0, "small": 1.9}[model] + 5 / int(size)
    return {
        "recipe": RECIPE, "ranks": 1, "device": "cpu", "parameters": hidden * 1000, "held_out_loss": loss,
        "parameters_without_embeddings": hidden * 500, "held_out_loss_se": 0.01, "trained": True, "unigram_loss": 9.0,
        "energy": {"joules": None}, "attempts": [{"started": None, "ended": None}], "wall_seconds": 2.0, "host": "here",
        "started": f"2026-01-01T00:00:{size}+00:00" if size != "80" else "2026-01-01T00:01:00+00:00",
        "peak_memory_mb": 1.0, **pretraining.facts(trainer, plan, args, network),
    }  # fmt: skip


def gather(program) -> pd.DataFrame:
    """The table of runs."""
    cells = {model: {size: {"1": 1} for size in SIZES} for model in MODELS}
    recipe = {
        "models": [*MODELS], "cells": cells, "compared": [], "lowest": {}, "tokenizers": dict.fromkeys(MODELS, "own"), "seeds": [1],
        "tasks": {"sentiment": {"glue": True}},
    }  # fmt: skip
    scores = {"pretrain_seed": [1], "task": "sentiment", "train_set": "all", "train_examples": 9, "finetune_seed": 1,
              "split": "validation", "examples": 9, "metric": "accuracy", "value": 0.5, "item_se": 0.1}  # fmt: skip
    place = Path("results/score/tiny/40/1")
    place.mkdir(parents=True)
    pd.DataFrame(scores).to_csv(place / "scores.csv", index=False)
    io.write_json(place / "record.json", {})
    names = ("runs", "curves", "scores", "summary", "baselines", "attempts", "texts")
    files = [part for name in names for part in (f"--{name}", f"{name}.csv")]
    program(
        aggregate, "--recipe", json.dumps(recipe), "--results", "results", "--work", "work", *files,
        "--record", "aggregate.json",
    )  # fmt: skip
    return tables.read_table("runs.csv")


def flops(model: str, size: str) -> int:
    """By hand: 6 FLOPs a weight for each position of the body, and of the head for each masked token."""
    _, body, head, attention = MODELS[model]
    positions = PASSES * SIZES[size] * ROW
    return (6 * body + attention) * positions + 6 * head * round(MASKED * PASSES * SIZES[size] * OWN)


def test_a_cell_from_its_slice_to_its_figures(program, folder):
    slices(program)
    manifest = io.read_json("slice/40.json")
    assert (manifest["size_tokens"], manifest["corpus_tokens"], manifest["rows"]) == (40, 32, 4)

    for model in MODELS:
        for size in SIZES:
            io.write_json(f"results/pretrain/{model}/{size}/1/1/record.json", train(model, size))
    made = io.read_json("results/pretrain/tiny/40/1/1/record.json")
    counts = {"size_tokens": 40, "corpus_tokens": 32, "trained_tokens": 320, "steps": 20}
    assert {name: made[name] for name in counts} == counts
    assert made["flops"] == flops("tiny", "40") == 545280

    runs = gather(program).set_index(["model", "size"])
    counts |= {"flops": 545280}
    assert runs.loc[("tiny", "40"), list(counts)].to_dict() == counts
    assert not {"tokens", "unique_tokens"} & set(runs)
    curve = tables.read_table("curves.csv").set_index(["model", "size"]).loc[("tiny", "40")]
    assert curve["trained_tokens"].to_list() == [80, 240], "the middle of what each loss is the mean of"
    for table in ("scores", "summary"):
        assert set(tables.read_table(f"{table}.csv")["size_tokens"]) == {40}

    tasks = '{"scaling": "strong", "tasks": []}'
    files = [part for name in ("runs", "curves", "summary", "baselines") for part in (f"--{name}", f"{name}.csv")]
    program(laws, "--recipe", tasks, *files, "--laws", "laws.csv", "--fits", "fits.npz", "--record", "laws.json")
    law = next(law for law in io.read_json("laws.json")["laws"] if law.get("model") == "tiny")
    assert law["axes"] == ["corpus_tokens"]
    assert law["range"] == {"corpus_tokens": [16, 64]}

    asked = '{"models": ["tiny", "small"], "scaling": "strong"}'
    for figure in (figure_loss, figure_parameters, figure_residuals):
        name = figure.__name__
        more = [] if figure is figure_loss else ["--laws", "laws.json"]
        program(
            figure,
            "--recipe",
            asked,
            "--runs",
            "runs.csv",
            *more,
            "--figure",
            f"{name}.png",
            "--record",
            f"{name}.json",
        )
    losses = tables.read_table("figure_loss.csv").set_index(["model", "size"])
    assert losses.loc[("tiny", "40"), "size_tokens"] == 40
    for name in ("figure_parameters", "figure_residuals"):
        data = pd.read_csv(f"{name}.csv")
        for model in MODELS:
            for size, segments in SIZES.items():
                (of,) = data[(data["model"] == model) & (data["corpus_tokens"] == segments * OWN)]["flops"].unique()
                assert of == flops(model, size)


OLD = {"corpus_tokens": "unique_tokens", "trained_tokens": "tokens"}


def test_results_of_earlier_releases_are_read(program, folder):
    """A person may have accepted results that were made before the counts had their names."""
    slices(program)
    made = train("tiny", "40")
    manifest = io.read_json("slice/40.json")
    manifest["tokens"] = manifest.pop("corpus_tokens")
    assert legacy.slice(manifest)["corpus_tokens"] == 32
    io.write_json("slice/40.json", manifest)
    assert train("tiny", "40") == made, "of an old slice the same record"

    old = {OLD.get(name, name): value for name, value in made.items()}
    nothing = {"size_tokens": 0, "tokens": 0}
    assert legacy.training(old) == made == legacy.training(made)
    counts = {"size_tokens": 0, "corpus_tokens": 0, "trained_tokens": 0}
    assert legacy.training(nothing).items() >= counts.items()
    for model in MODELS:
        for size in SIZES:
            of = train(model, size)
            if model == "tiny":
                of = {OLD.get(name, name): value for name, value in of.items()}
            io.write_json(f"results/pretrain/{model}/{size}/1/1/record.json", of)
    runs = gather(program).set_index(["model", "size"])
    counts = {"size_tokens": 40, "corpus_tokens": 32, "trained_tokens": 320}
    for model in MODELS:
        assert runs.loc[(model, "40"), list(counts)].to_dict() == counts
    curve = tables.read_table("curves.csv").set_index(["model", "size"])
    assert curve.loc[("tiny", "40"), "trained_tokens"].to_list() == [80, 240]


def test_tables_of_earlier_releases_are_read(folder):
    runs = pd.DataFrame(
        {"size": ["1k"], "tokens": 1000, "size_tokens": 1000, "unique_tokens": 800, "trained_tokens": 8000}
    )
    summary = pd.DataFrame({"size": ["1k"], "tokens": 1000, "mean": 0.5})
    forecasts = pd.DataFrame({"size": ["4k"], "tokens": 4000, "times_largest": 4.0})
    found = {}
    for name, table in {"runs": runs, "summary": summary, "forecasts": forecasts}.items():
        table.to_csv("table.csv", index=False)
        found[name] = tables.read_table("table.csv").drop(columns="size").iloc[0].to_dict()
    counts = {"size_tokens": 1000, "corpus_tokens": 800, "trained_tokens": 8000}
    assert found["runs"].items() >= counts.items()
    assert not {"tokens", "unique_tokens"} & set(found["runs"])
    assert found["summary"] == {"size_tokens": 1000, "mean": 0.5}
    assert found["forecasts"] == {"corpus_tokens": 4000, "times_largest": 4}
    assert np.array_equal(tables.read_table("table.csv")["size"], ["4k"])
