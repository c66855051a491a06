"""A recipe changes with what its step depends on, and with nothing else."""

import copy
import os
from pathlib import Path

import pytest
import yaml
from conftest import AXES
from snakemake.utils import update_config

from gridlaw import files, recipes, record
from gridlaw.config import complete

DEFAULT = yaml.safe_load((Path(__file__).resolve().parents[2] / "config.yaml").read_text()) | AXES


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
        "pretrain tiny 2 ranks": recipes.pretrain(config, "tiny", "64k", 2, 1),
        "trunk tiny": recipes.trunk(config, "tiny", 1, 1),
        "pretrain small": recipes.pretrain(config, "small", "64k", 1, 1),
        "finetune tiny sentiment": recipes.finetune(config, "tiny", "sentiment"),
        "finetune small sentiment": recipes.finetune(config, "small", "sentiment"),
        "finetune tiny entailment": recipes.finetune(config, "tiny", "entailment"),
        "ranks": recipes.ranks(config, "tiny", "8k"),
        "score": recipes.score(config),
        "baseline": recipes.baseline(config, "sentiment"),
        "aggregate": recipes.aggregate(config),
        "laws": recipes.laws(config),
        "forecasts": recipes.forecasts(config),
        "decisions": recipes.decisions(config),
        "figure_scores": recipes.figure_scores(config),
        "latex": recipes.latex(config),
    }
    return {name: recipes.canonical(recipe) for name, recipe in steps.items()}


TRAINED = {"pretrain tiny", "pretrain tiny 2 ranks", "pretrain small", "trunk tiny"}
FINETUNED = {"finetune tiny sentiment", "finetune small sentiment", "finetune tiny entailment"}
CHANGES = {
    "corpora: toy: {seed: 2}": {"corpus"},
    "tokenizers: wordpiece: {vocab_size: 2000}": {"tokenizer"},
    "models: tiny: {shape: {num_hidden_layers: 3}}": TRAINED - {"pretrain small"} | {"pretrain tiny 0"},
    "tasks: sentiment: {train_size: 100}": {"task"},
    "tasks: sentiment: {metrics: [f1]}": {"score", "baseline", "laws", "forecasts", "figure_scores", "latex"},
    "tasks: sentiment: {glue: false}": {"aggregate"},
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
        ("gpus: [1, 2, 4]", {"aggregate", "ranks", "decisions"}),
        ("data: {segment_words: 20}", {"segments"}),
        ("data: {packing: continuous}", {"pack"}),
        ("models: [small, tiny]", {"aggregate", "decisions", "figure_scores", "latex"}),
        ("tasks: [entailment, sentiment, acceptability]", {"laws", "forecasts", "figure_scores", "latex"}),
        ("pretrain: {decay_shape: cosine}", TRAINED - {"trunk tiny"}),
        # One rank has the same batch in both.
        (
            "{pretrain: {scaling: weak}, finetune: {gpus: all}}",
            {"pretrain tiny 2 ranks", "ranks", "aggregate", "laws", "forecasts", "decisions"},
        ),
        ("sizes: [16k, 64k]", {"aggregate", "decisions"}),
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
        # Lists whose order means nothing.
        "seeds: {finetune: [3, 1, 2]}",
        "sizes: [100k, 8k, 0, 1k, 32k]",
        "gpus: [2, 1]",
        # What no result depends on.
        "pretrain: {evaluations: 7}",
        "checkpoint_minutes: 1",
    ],
)
def test_spelling_does_not_matter(overlay):
    assert all_recipes(overlay) == all_recipes()


def test_order_of_keys_does_not_matter():
    assert recipes.canonical({"a": 1, "b": [1.0, 2.5]}) == recipes.canonical({"b": [1, 2.5], "a": 1.0})


def test_the_default_width_may_be_written_out():
    config = complete(copy.deepcopy(DEFAULT))
    before = recipes.pretrain(config, "tiny", "64k", 1, 1)
    assert config["catalogue"]["models"]["tiny"]["shape"].pop("intermediate_size") == 256
    assert recipes.pretrain(config, "tiny", "64k", 1, 1) == before


@pytest.mark.parametrize(
    ("task", "same"),
    [
        ({"metrics": ["f1", "accuracy"]}, True),
        ({"validation": ["b", "a"]}, True),
        ({"text": ["second", "first"]}, False),
    ],
)
def test_order_in_a_task(task, same):
    entry = {"source": "hub", "dataset": "a/b", "revision": "c", "text": ["first", "second"],
             "metrics": ["accuracy", "f1"], "validation": ["a", "b"]}  # fmt: skip

    def of(entry):
        overlay = {"tasks": ["sentiment", "mine"], "catalogue": {"tasks": {"mine": entry}}}
        config = copy.deepcopy(DEFAULT)
        update_config(config, overlay)
        config = complete(config)
        steps = [recipes.task(config, "mine"), recipes.finetune(config, "tiny", "mine"), recipes.score(config)]
        return recipes.canonical([*steps, recipes.baseline(config, "mine")])

    assert (of(entry) == of(entry | task)) == same


@pytest.fixture
def local(tmp_path, monkeypatch):
    """Recipes of a grid on local files, and the folder that these lie in."""
    monkeypatch.chdir(tmp_path)
    for file in ("a.txt", "b.txt", "train.csv", "dev.csv", "other.csv", "model/config.json", "model/vocab.txt"):
        Path("data", file).parent.mkdir(parents=True, exist_ok=True)
        Path("data", file).write_text(file)

    def of():
        config = copy.deepcopy(DEFAULT)
        files = {"train": "data/train.csv", "validation": "data/dev.csv", "test": "data/other.csv"}
        overlay = {
            "corpora": {"mine": {"source": "files", "files": ["data/*.txt"]}},
            "tasks": {"mine": {"source": "files", "files": files, "text": ["a"], "metrics": ["f1"]}},
            "models": {"mine": {"pretrained": "./data/model"}},
        }
        update_config(config, {"catalogue": overlay})
        config = complete(config)
        return {
            step: recipes.canonical(getattr(recipes, step)(config, "mine")) for step in ("corpus", "task", "checkpoint")
        }

    return of, tmp_path / "data"


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("a.txt", {"corpus"}),
        ("train.csv", {"task"}),
        ("dev.csv", {"task"}),
        ("other.csv", set()),
        ("model/config.json", {"checkpoint"}),
        ("model/vocab.txt", {"checkpoint"}),
    ],
)
@pytest.mark.parametrize("age", [-1000, 0, 1000])
def test_content_of_local_files_matters_and_not_their_age(local, file, changed, age):
    of, folder = local
    before = of()
    path = folder / file
    about = path.stat()
    os.utime(path, (about.st_atime + age, about.st_mtime + age))
    assert of() == before
    text = path.read_text()
    # Of the same length, and as old as it was.
    path.write_text(text.upper())
    os.utime(path, (about.st_atime + age, about.st_mtime + age))
    after = of()
    assert {step for step in before if before[step] != after[step]} == changed
    path.write_text(text)
    assert of() == before


def test_a_swap_of_two_local_files_matters(local):
    of, folder = local
    before = of()
    (folder / "a.txt").rename(folder / "c")
    (folder / "b.txt").rename(folder / "a.txt")
    (folder / "c").rename(folder / "b.txt")
    assert of()["corpus"] != before["corpus"]


def test_a_local_file_is_read_once(local, monkeypatch):
    of, folder = local
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
    monkeypatch.setattr(files.time, "time", lambda: 4e9)
    before, read = of(), []
    monkeypatch.setattr(record, "sha256", lambda file: read.append(file))
    assert of() == before
    assert read == []


def test_swapped_values_matter():
    assert recipes.canonical({"a": 1, "b": 2}) != recipes.canonical({"a": 2, "b": 1})


def test_a_task_wins_over_a_model():
    config = complete(copy.deepcopy(DEFAULT))
    config["finetune"]["per_model"]["tiny"] = {"epochs": 7, "batch_size": 8}
    config["finetune"]["per_task"]["sentiment"] = {"epochs": 9}
    parameters = recipes.finetune_parameters(config, "tiny", "sentiment")
    assert (parameters["epochs"], parameters["batch_size"]) == (9, 8)
