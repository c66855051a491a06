"""Fine-tuning learns what can be learnt, and predictions stay beside their labels."""

import json

import finetune
import pandas as pd
import pytest
import tokenizer as tokenizer_program
import torch

from gridlaw import io
from gridlaw.canonical_json import canonical
from gridlaw.cli import Failure
from gridlaw.models import modeling

WORDS = ["good", "bad", "old", "new", "red", "blue", "dog", "cat", "ran", "sat"]
RECIPE = {
    "seeds": [1, 2], "text": ["text"], "label": "label", "train": "train", "validation": ["validation"],
    "epochs": 6, "max_length": 16, "train_examples": [16, "all"], "eval_batch_size": 7, "learning_rate": 3e-3, "batch_size": 8,
    "weight_decay": 0.0, "adam_beta2": 0.999, "schedule": "constant", "warmup_ratio": 0.0, "max_grad_norm": 1.0, "dropout": 0.0,
    "precision": "fp32", "attention": "auto", "compile": False, "device_batch_size": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    recipe = {"algorithm": "wordpiece", "vocab_size": 100, "lowercase": True}
    network = tokenizer_program.train(recipe, lambda: iter([[" ".join(WORDS)] * 5]))
    tokenizer = tokenizer_program.PreTrainedTokenizerFast(tokenizer_object=network, **tokenizer_program.SPECIAL)
    torch.manual_seed(0)
    shape = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 16}
    entry = {"model_type": "bert", "shape": shape, "config": {}, "initializer_range": 0.1}
    modeling.masked_lm(entry, tokenizer, 0.0, "auto").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run(program, folder, model, kind, prefix="", **recipe):
    # Texts of very different length, so that an order by length is not the order of the file.
    rows = []
    for split, count in (("train", 80), ("validation", 41)):
        for number in range(count):
            positive = number * 7 % 5 < 2
            filler = [WORDS[2 + (number + place) % 8] for place in range(1 + number * 11 % 9)]
            label = float(3 * positive) if kind == "regression" else int(positive)
            rows.append(
                {"split": split, "text": " ".join([prefix, *filler, WORDS[not positive]]).strip(), "label": label}
            )
    pd.DataFrame(rows).to_parquet(folder / "examples.parquet")
    io.write_json(folder / "task.json", {"classes": None if kind == "regression" else [0, 1]})
    io.write_json(folder / "model.json", {})
    program(
        finetune, "--recipe", canonical(RECIPE | {"kind": kind} | recipe), "--model", model, "--model-manifest", folder / "model.json",
        "--examples", folder / "examples.parquet", "--task", folder / "task.json",
        "--predictions", folder / "predictions.parquet", "--manifest", folder / "manifest.json",
        "--record", folder / "record.json",
        "--work", folder / "work",
    )  # fmt: skip
    return pd.read_parquet(folder / "predictions.parquet"), json.loads((folder / "record.json").read_text())


def test_classification(program, tmp_path, model):
    predictions, facts = run(program, tmp_path, model, "classification")
    assert len(predictions) == 2 * 2 * 41
    whole = predictions[predictions["train_set"] == "all"]
    assert (whole["label"] == whole["prediction"]).mean() > 0.95
    assert [(one["train_examples"], one["seed"], one["steps"]) for one in facts["runs"]] == [
        (16, 1, 12),
        (16, 2, 12),
        (80, 1, 60),
        (80, 2, 60),
    ]
    one, two = (whole[whole["seed"] == seed]["outputs"].map(tuple).tolist() for seed in (1, 2))
    assert one != two, "seeds differ"


def test_regression(program, tmp_path, model):
    predictions, _ = run(program, tmp_path, model, "regression")
    whole = predictions[predictions["train_set"] == "all"]
    assert whole["label"].corr(whole["prediction"]) > 0.9


def test_a_run_does_not_depend_on_those_before_it(program, tmp_path, model, monkeypatch):
    both, _ = run(program, tmp_path, model, "classification")
    monkeypatch.setitem(RECIPE, "seeds", [2])
    monkeypatch.setitem(RECIPE, "train_examples", ["all"])
    alone, _ = run(program, tmp_path, model, "classification")
    together = both[(both["seed"] == 2) & (both["train_set"] == "all")]
    assert together["outputs"].map(tuple).tolist() == alone["outputs"].map(tuple).tolist()


def test_what_is_not_seen_of_the_text_is_noted(program, tmp_path, model, capsys):
    folder = tmp_path / "reviews"
    folder.mkdir()
    short = {"seeds": [1], "train_examples": [16], "epochs": 1, "max_length": 8}
    _, record = run(program, folder, model, "classification", prefix="猫", **short)
    texts = io.read_json(folder / "manifest.json")["texts"]
    assert {split: text["examples"] for split, text in texts.items()} == {"train": 80, "validation": 41}
    for text in texts.values():
        assert 0.02 < text["unknown"]["characters"] < text["unknown"]["tokens"] < 0.3
        assert 0.3 < text["truncated"] < 0.7
    kinds = ["catalogue.tasks.reviews: ", "finetune.max_length: "]
    assert [line.startswith(kinds[place % 2]) for place, line in enumerate(record["notes"])] == [True] * 4
    log = capsys.readouterr().err
    assert all(f"warning: {line}\n" in log for line in record["notes"])


def test_text_that_is_mostly_unknown_is_not_trained_on(program, tmp_path, model):
    with pytest.raises(Failure, match=r"catalogue.tasks.\S+: \d+ % of the characters of the split train are unknown"):
        run(program, tmp_path, model, "classification", prefix="猫" * 99)
    assert not (tmp_path / "manifest.json").exists()
