"""A recipe changes with what its step depends on, and with nothing else."""

import copy
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from gridlaw import recipes
from gridlaw.config import complete

DEFAULT = yaml.safe_load((Path(__file__).resolve().parents[2] / "config.yaml").read_text())


def all_recipes(overlay: str = "{}") -> dict[str, str]:
    config = copy.deepcopy(DEFAULT)
    update_config(config, yaml.safe_load(overlay))
    config = complete(config)
    steps = {
        "corpus": recipes.corpus(config, "toy"),
        "segments": recipes.segments(config),
        "tokenizer": recipes.tokenizer(config, "wordpiece"),
        "pack": recipes.pack(config),
        "slice": recipes.slice(config, "64k"),
        "task": recipes.task(config, "sentiment"),
        "pretrain tiny": recipes.pretrain(config, "tiny", "64k", 1, 1),
        "pretrain tiny 0": recipes.pretrain(config, "tiny", "0", 1, 1),
        "pretrain small": recipes.pretrain(config, "small", "64k", 1, 1),
        "finetune tiny sentiment": recipes.finetune(config, "tiny", "sentiment"),
        "finetune small sentiment": recipes.finetune(config, "small", "sentiment"),
        "finetune tiny entailment": recipes.finetune(config, "tiny", "entailment"),
        "ranks": recipes.ranks(config, "tiny", "8k"),
        "score": recipes.score(config),
        "baseline": recipes.baseline(config, "sentiment"),
        "aggregate": recipes.aggregate(config),
        "figure_scores": recipes.figure_scores(config),
    }
    return {name: recipes.canonical(recipe) for name, recipe in steps.items()}


TRAINED = {"pretrain tiny", "pretrain small"}
FINETUNED = {"finetune tiny sentiment", "finetune small sentiment", "finetune tiny entailment"}
CHANGES = {
    "corpora: toy: {seed: 2}": {"corpus"},
    "tokenizers: wordpiece: {vocab_size: 2000}": {"tokenizer"},
    "models: tiny: {shape: {num_hidden_layers: 3}}": {"pretrain tiny", "pretrain tiny 0"},
    "tasks: sentiment: {train_size: 100}": {"task"},
    "tasks: sentiment: {metrics: [f1]}": {"score", "baseline", "aggregate", "figure_scores"},
}


@pytest.mark.parametrize(
    ("overlay", "changed"),
    [
        ("pretrain: {weight_decay: 0.1}", TRAINED),
        ("pretrain: {mask_rate: 0.3}", TRAINED | {"pretrain tiny 0"}),
        ("pretrain: {per_model: {small: {learning_rate: 1.0e-3}}}", {"pretrain small"}),
        ("finetune: {learning_rate: 1.0e-3}", FINETUNED),
        ("finetune: {per_task: {sentiment: {epochs: 9}}}", {"finetune tiny sentiment", "finetune small sentiment"}),
        ("finetune: {per_model: {small: {epochs: 9}}}", {"finetune small sentiment"}),
        ("seeds: {finetune: [1, 2, 3, 4]}", FINETUNED),
        ("seeds: {pretrain: [1, 2]}", {"aggregate", "ranks"}),
        ("gpus: [1, 2, 4]", {"aggregate", "ranks"}),
        ("data: {segment_words: 20}", {"segments"}),
        ("data: {packing: continuous}", {"pack"}),
        ("models: [small, tiny]", {"aggregate", "figure_scores"}),
        ("sizes: [8k, 64k]", {"aggregate"}),
        *((f"catalogue: {{{key.replace(': ', ': {', 1)}}}}}", changed) for key, changed in CHANGES.items()),
    ],
)
def test_change(overlay, changed):
    before, after = all_recipes(), all_recipes(overlay)
    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    "overlay",
    [
        "sizes: [0, 1000, 8000, '32000', 0.1M]",
        "pretrain: {max_grad_norm: 1}",
        "finetune: {dropout: 0}",
        "catalogue: {corpora: {toy: {words: 150000}}}",
    ],
)
def test_spelling_does_not_matter(overlay):
    assert all_recipes(overlay) == all_recipes()


def test_order_of_keys_does_not_matter():
    assert recipes.canonical({"a": 1, "b": [1.0, 2.5]}) == recipes.canonical({"b": [1, 2.5], "a": 1.0})


def test_swapped_values_matter():
    assert recipes.canonical({"a": 1, "b": 2}) != recipes.canonical({"a": 2, "b": 1})


def test_a_task_wins_over_a_model():
    config = complete(copy.deepcopy(DEFAULT))
    config["finetune"]["per_model"]["tiny"] = {"epochs": 7, "batch_size": 8}
    config["finetune"]["per_task"]["sentiment"] = {"epochs": 9}
    parameters = recipes.finetune_parameters(config, "tiny", "sentiment")
    assert (parameters["epochs"], parameters["batch_size"]) == (9, 8)
