"""Recipes: spelling, order, the content of local files, and which override counts."""

import copy
import os
from pathlib import Path

import pytest
import yaml
from conftest import default
from snakemake.utils import update_config

from gridlaw import io
from gridlaw.canonical_json import canonical
from gridlaw.config import hyperparameters, user_files
from gridlaw.config.loading import complete
from gridlaw.workflow.recipe import Recipe
from gridlaw.workflow.steps import KINDS

DEFAULT = default()


def recipe(step: str, *of: object, overlay: str = "{}") -> str:
    """A step's recipe in the default grid with an overlay."""
    config = copy.deepcopy(DEFAULT)
    update_config(config, yaml.safe_load(overlay))
    return canonical(KINDS[step].recipe(complete(config), *of).values)


def test_a_generated_corpus_has_its_seed_in_its_recipe():
    other = recipe("corpus", "toy", overlay="catalogue: {corpora: {toy: {seed: 2}}}")
    assert recipe("corpus", "toy") != other


@pytest.mark.parametrize(
    ("step", "of", "overlay"),
    [
        ("finetune", ("tiny", "sentiment"), "finetune: {dropout: 0}"),
        ("pretrain", ("tiny", "64k", 1, 1), "pretrain: {warmup_tokens: 4000}"),
        ("corpus", ("toy",), "catalogue: {corpora: {toy: {words: 150000}}}"),
    ],
)
def test_spelling_does_not_matter(step, of, overlay):
    assert recipe(step, *of, overlay=overlay) == recipe(step, *of)


def test_order_of_keys_does_not_matter():
    assert canonical({"a": 1, "b": [1.0, 2.5]}) == canonical({"b": [1, 2.5], "a": 1.0})


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
        named = {"task": ("mine",), "finetune": ("tiny", "mine"), "score": (), "baseline": ("mine",)}
        return canonical([KINDS[kind].recipe(config, *of).values for kind, of in named.items()])

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
        return {step: canonical(KINDS[step].recipe(config, "mine").values) for step in ("corpus", "task", "checkpoint")}

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
    # The length and the time stamp stay the same.
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
    monkeypatch.setattr(user_files.time, "time", lambda: 4e9)
    before, read = of(), []
    monkeypatch.setattr(io, "sha256", lambda file: read.append(file))
    assert of() == before
    assert read == []


def test_swapped_values_matter():
    assert canonical({"a": 1, "b": 2}) != canonical({"a": 2, "b": 1})


def test_a_task_wins_over_a_model():
    config = complete(copy.deepcopy(DEFAULT))
    config["finetune"]["per_model"]["tiny"] = {"epochs": 7, "batch_size": 8}
    config["finetune"]["per_task"]["sentiment"] = {"epochs": 9}
    parameters = hyperparameters.finetune_parameters(config, "tiny", "sentiment")
    assert (parameters["epochs"], parameters["batch_size"]) == (9, 8)


def test_the_key_of_an_entry_is_the_closest_one():
    recipe = Recipe({}, {"": "pretrain.*", "model": "catalogue.models.tiny.*", "size_tokens": "sizes"})
    assert recipe.key(("learning_rate",)) == "pretrain.learning_rate"
    assert recipe.key(("model", "shape", "hidden_size")) == "catalogue.models.tiny.shape.hidden_size"
    assert recipe.key(("size_tokens",)) == "sizes"
    assert Recipe({}).key(("models", "tiny")) == "models.tiny"
