"""A grid whose corpus, task and checkpoint come from a hub; once they are fetched, the hub may go."""

import copy
import json
import random

import pandas as pd
import pytest
from hub import COMMIT, serve

WORDS = [f"{a}{b}" for a in ("ba", "do", "ki", "lu", "me") for b in ("na", "ro", "ti", "su", "pe", "go")]
GRID = {
    "models": ["released"],
    "sizes": [0, "1k"],
    "gpus": [1],
    "tasks": ["pairs"],
    "seeds": {"pretrain": [1], "finetune": [1]},
    "exclude": [],
    "corpus": "stories",
    "data": {"tokenizer": "released", "held_out_words": 200},
    "finetune": {"epochs": 1, "train_examples": [8, "all"]},
    "catalogue": {
        "models": {"released": {"pretrained": "someone/encoder", "revision": "main"}},
        "corpora": {"stories": {"source": "hub", "dataset": "someone/stories", "revision": "v1", "held_out_split":
        "validation"}}, "tasks": {
            "pairs": {
                "source": "hub", "dataset": "someone/tasks", "config": "pairs", "revision": "main",
                "text": ["sentence1", "sentence2"], "metrics": ["f1", "accuracy"],
            }
        },
    },
}  # fmt: skip


def sentence(draw):
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(5, 12))) + " ."


def card(*configs):
    names = {"default": "", "pairs": "pairs/"}
    listed = "".join(
        f"- config_name: {name}\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: {names[name]}{split}-*\n" for split in ("train", "validation"))
        for name in configs
    )
    return f"---\nconfigs:\n{listed}---\n"


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    folder, draw = tmp_path_factory.mktemp("hub"), random.Random(0)
    stories, tasks = folder / "datasets/someone/stories", folder / "datasets/someone/tasks/pairs"
    for path in (stories, tasks):
        path.mkdir(parents=True)
    (stories / "README.md").write_text(card("default"))
    (tasks.parent / "README.md").write_text(card("pairs"))
    for split, count in (("train", 200), ("validation", 60)):
        text = pd.DataFrame({"text": [sentence(draw) for _ in range(count)]})
        text.to_parquet(stories / f"{split}-00000-of-00001.parquet")
        pairs = [(sentence(draw), sentence(draw), index % 2, index) for index in range(40)]
        pd.DataFrame(pairs, columns=["sentence1", "sentence2", "label", "idx"]).to_parquet(
            tasks / f"{split}-00000-of-00001.parquet"
        )
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS, "."])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    encoder = folder / "models/someone/encoder"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **dict(zip(names, special, strict=True))).save_pretrained(
        encoder
    )
    shape = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=36, max_position_embeddings=40, **shape)).save_pretrained(encoder)
    return folder


def test_fetched_once_then_offline(workflow, repositories, tmp_path):
    with serve(repositories) as address:
        environment = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        fetched = workflow.snakemake(
            "-c2", "--until", "corpus", "task", "checkpoint", overlay=GRID, environment=environment
        )
        assert fetched.returncode == 0, fetched.stderr + workflow.logs()
    done = workflow.snakemake("-c2", overlay=GRID, environment=environment)
    assert done.returncode == 0, done.stderr + workflow.logs()
    assert workflow.undone(GRID) == {}

    manifest = json.loads((workflow.folder / "resources/corpus/stories/manifest.json").read_text())
    assert manifest["commit"] == COMMIT
    assert manifest["documents"] == 260
    segments = json.loads((workflow.folder / "resources/segments/stories/manifest.json").read_text())
    assert segments["train"]["documents"] == 200, "held-out documents come from their own split"
    scores = pd.read_csv(workflow.folder / "results/scores.csv")
    assert set(scores["train_examples"].dropna()) == {8, 40}
    assert scores[scores["metric"] == "accuracy"]["value"].between(0, 1).all()
    runs = pd.read_csv(workflow.folder / "results/runs.csv")
    assert runs["held_out_loss"].notna().all(), "the checkpoint brought a masked-LM head"


@pytest.mark.parametrize(
    ("kind", "name", "fetched", "kept"),
    [
        ("corpora", "stories", "corpus", {"checkpoint", "task", "baseline"}),
        ("tasks", "pairs", "task", {"corpus", "segments", "pack", "slice", "checkpoint", "pretrain"}),
        ("models", "released", "checkpoint", {"corpus", "segments", "task", "baseline"}),
    ],
)
def test_a_revision_is_fetched_anew(workflow, kind, name, fetched, kept):
    assert workflow.planned(overlay=GRID) == {}
    grid = copy.deepcopy(GRID)
    grid["catalogue"][kind][name]["revision"] = "v2"
    planned = workflow.planned(overlay=grid)
    assert planned[fetched] == 1
    assert {"finetune", "score", "aggregate"} <= planned.keys()
    assert not kept & planned.keys()


def test_missing_repository_is_one_line(workflow, repositories, tmp_path):
    grid = copy.deepcopy(GRID)
    grid["catalogue"]["models"]["released"]["pretrained"] = "someone/nothing"
    with serve(repositories) as address:
        environment = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        target = "resources/checkpoint/released/manifest.json"
        done = workflow.snakemake(target, "-c1", "--forcerun", "checkpoint", overlay=grid, environment=environment)
    assert done.returncode != 0, done.stderr
    log = (workflow.folder / "logs/checkpoint/released.log").read_text()
    assert "error: model someone/nothing at revision main cannot be fetched" in log
    assert "Traceback" not in log
