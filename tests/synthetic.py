"""Folders of grids that nobody has run: records as programs leave them, with numbers by a formula."""

import csv
import zlib
from collections.abc import Callable
from pathlib import Path

from conftest import configuration, finish

from gridlaw import io
from gridlaw.config import grid
from gridlaw.workflow import steps

FIRST = "2026-11-20T10:00:00+00:00"

SEGMENTS = {
    "train": {"documents": 900, "words": 9 * 10**6}, "held_out": {"documents": 3, "words": 10**4}, "unused_words": 500,
    "cut_documents": 2,
}  # fmt: skip
TRAIN = {"tokens": 10**7, "unknown": {"tokens": 0.02, "characters": 0.04}}


def write(overlay: dict, leave_out: Callable[[steps.Step], bool] = lambda step: False) -> dict:
    """Make the working directory that of a grid whose trainings are done and whose tables are not.

    Args:
        overlay: of the default configuration.
        leave_out: steps that are not done.

    Returns:
        the completed configuration.
    """
    config = configuration(overlay)
    for step in steps.Steps(config):
        if step.kind.single or leave_out(step):
            continue
        finish(step, **FACTS.get(step.rule, lambda config, step: {})(config, step))
        if step.rule == "segments":
            io.write_json(f"{step.folder}/manifest.json", SEGMENTS)
        if step.rule == "pack":
            io.write_json(f"{step.folder}/manifest.json", {"train": TRAIN, "held_out": TRAIN, "vocabulary": 2000})
        if step.rule in TABLES:
            name, rows = TABLES[step.rule](config, step)
            with open(Path(step.folder, name), "w", newline="") as stream:
                table = csv.DictWriter(stream, rows[0])
                table.writeheader()
                table.writerows(rows)
    return config


def _scatter(*key: object) -> float:
    """A number between -1 and 1 that looks random."""
    return zlib.crc32(repr(key).encode()) / 2**31 - 1


def _tokens(size: str) -> int:
    return grid.parse_size(size) if size != grid.ALL else 10**6


def _parameters(config: dict, model: str) -> int:
    return 150_000 * 2 ** config["models"].index(model)


def _loss(config: dict, model: str, size: str, seed: str) -> float:
    tokens = _tokens(size) or 300
    law = 1.2 + 30 / _parameters(config, model) ** 0.3 + 300 / tokens**0.55
    return law * (1 + 0.003 * _scatter(model, size, seed))


def _attempt(seconds: float) -> dict:
    return {
        "energy": {"joules": 12.0 * seconds, "source": "a counter"},
        "attempts": [{"started": FIRST, "host": "node1", "ended": FIRST, "cause": "finished"}],
        "wall_seconds": seconds,
    }


def _pretrained(config: dict, step: steps.Step) -> dict:
    model, size, gpus, seed = step.wildcards.values()
    tokens, parameters, loss = _tokens(size), _parameters(config, model), _loss(config, model, size, seed)
    read, seconds = 10 * tokens, 10 * tokens * parameters / 1e9 / int(gpus) ** 0.9
    return {
        "ranks": int(gpus), "device": "cpu", "parameters": parameters, "parameters_without_embeddings": parameters // 2,
        "size_tokens": tokens, "corpus_tokens": tokens, "trained_tokens": read, "tokens_here": read, "steps": read // 4000,
        "batch_rows": 16, "flops": 6.0 * read * parameters, "flops_without_embeddings": 3.0 * read * parameters,
        "final_loss": loss, "held_out_loss": loss, "held_out_loss_se": 0.01, "unigram_loss": 6.5,
        "trained": loss < 6.4 if tokens else None, "tokens_per_second": read / seconds if tokens else None,
        "tokens_per_second_low": 0.9 * read / seconds if tokens else None,
        "tokens_per_second_high": 1.1 * read / seconds if tokens else None, "train_seconds": seconds,
        "peak_memory_mb": 500.0, **_attempt(seconds + 4),
    }  # fmt: skip


def _finetuned(config: dict, step: steps.Step) -> dict:
    return {"device": "cpu", "runs": [], **_attempt(9.0)}


def _scores(config: dict, step: steps.Step) -> tuple[str, list[dict]]:
    model, size, gpus = step.wildcards.values()
    rows = []
    for seed in config["seeds"]["pretrain"]:
        for task in config["tasks"]:
            entry = config["catalogue"]["tasks"][task]
            for finetune_seed in config["seeds"]["finetune"]:
                for metric in entry["metrics"]:
                    score = 0.5 + 0.45 / (1 + _loss(config, model, size, str(seed)) ** 2 / 12)
                    score += 0.02 * _scatter(model, size, seed, task, finetune_seed)
                    run = {"pretrain_seed": seed, "task": task, "train_set": "all", "train_examples": 400}
                    rows += [
                        {**run, "finetune_seed": finetune_seed, "split": split, "examples": 200, "metric": metric,
                         "positive": "1" if metric == "f1" else "", "value": score, "item_se": 0.03, "trained": True,
                         "diverged": False}
                        for split in entry["validation"]
                    ]  # fmt: skip
    return "scores.csv", rows


def _baseline(config: dict, step: steps.Step) -> tuple[str, list[dict]]:
    entry = config["catalogue"]["tasks"][step.wildcards["task"]]
    return "scores.csv", [
        {"split": split, "examples": 200, "metric": metric, "value": 0.5}
        for split in entry["validation"]
        for metric in entry["metrics"]
    ]


def _ranks(config: dict, step: steps.Step) -> tuple[str, list[dict]]:
    apart = {
        "held_out_loss_from_one_rank": 1e-6, "final_loss_from_one_rank": 1e-6, "weights_from_one_rank_max": 1e-5,
        "weights_from_one_rank_relative": 1e-6, "weights_identical_to_one_rank": False,
    }  # fmt: skip
    return "ranks.csv", [
        {"gpus": gpus, "pretrain_seed": seed, **apart}
        for gpus in step.recipe["gpus"][1:]
        for seed in step.recipe["seeds"]
    ]


FACTS = {"pretrain": _pretrained, "trunk": _pretrained, "finetune": _finetuned}
TABLES = {"score": _scores, "baseline": _baseline, "ranks": _ranks}
