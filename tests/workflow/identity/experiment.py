"""The small experiment that is changed: two models, one of them with a trunk, on a corpus and a task of the user's files."""

from __future__ import annotations

import copy
from pathlib import Path

import pandas as pd
import yaml
from conftest import ROOT
from snakemake.utils import update_config

from gridlaw import language

OVERLAY = {
    "models": ["alpha", "beta"],
    "sizes": [0, "2k"],
    "gpus": [1, 2],
    "tasks": ["sentiment", "mine"],
    "seeds": {"pretrain": [1, 2], "finetune": [1, 2]},
    "exclude": [{"size": 0, "gpus": [2, 4]}],
    "corpus": "letters",
    "data": {"held_out_words": 500, "row_length": 32},
    "pretrain": {
        "batch_size": 8, "passes": 2, "warmup_tokens": 100, "learning_rate": 1.0e-3, "precision": "fp32",
        "decay_ratio": 0.5, "per_model": {"beta": {"schedule": "trunk", "passes": 1}},
    },
    "finetune": {"epochs": 1, "train_examples": [16, "all"], "precision": "fp32", "per_model": {}, "per_task": {}},
    "catalogue": {
        "models": {
            # alpha trains each size from the start, beta branches off a trunk.
            "alpha": {"model_type": "bert", "shape": {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2}},
            "beta": {
                "model_type": "roberta", "tokenizer": "bpe",
                "shape": {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2},
            },
            "gamma": {"model_type": "bert", "shape": {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2}},
        },
        "tokenizers": {"wordpiece": {"vocab_size": 600}, "bpe": {"vocab_size": 400}},
        "corpora": {"letters": {"source": "files", "files": ["data/*.txt"]}},
        "tasks": {
            "sentiment": {"train_size": 40, "validation_size": 40},
            "mine": {
                "source": "files", "files": {"train": "data/train.csv", "validation": "data/dev.csv"}, "text": ["body"],
                "metrics": ["f1", "accuracy"],
            },
        },
    },
}  # fmt: skip


def configuration() -> dict:
    """The default configuration with the experiment's own values."""
    whole = yaml.safe_load((ROOT / "config.yaml").read_text())
    # This grid's own overrides alone.
    whole["pretrain"]["per_model"], whole["finetune"]["per_model"] = {}, {}
    update_config(whole, copy.deepcopy(OVERLAY))
    return whole


def write(folder: Path) -> None:
    """Write the experiment's configuration and the user's files into a folder."""
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration(), sort_keys=False))
    (folder / "data").mkdir()
    for seed, name in enumerate(("a.txt", "b.txt")):
        (folder / "data" / name).write_text("\n\n".join(language.documents(seed, 4000)))
    for name in ("train.csv", "dev.csv"):
        rows = [{"body": f"text {number % 7}", "label": number % 2} for number in range(40)]
        pd.DataFrame(rows).to_csv(folder / "data" / name, index=False)
