"""Text that a tokenizer does not know is counted by its characters, mentioned, and refused if it is most of a text."""

import json

import aggregate
import numpy as np
import pack
import pandas as pd
import pytest
import tokenizer as tokenizer_program
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from gridlaw import cli, io
from gridlaw.canonical_json import canonical
from gridlaw.data import coverage
from gridlaw.data.coverage import Coverage

SPECIAL = tokenizer_program.SPECIAL


def wordpiece(*tokens):
    """A WordPiece that knows these tokens only."""
    made = Tokenizer(
        models.WordPiece({token: place for place, token in enumerate([*SPECIAL.values(), *tokens])}, unk_token="[UNK]")
    )
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=made, **SPECIAL)


def shares(tokenizer, *texts):
    counted = Coverage(tokenizer)
    counted.add(list(texts), tokenizer(list(texts), add_special_tokens=False))
    return counted.shares()


@pytest.mark.parametrize(
    ("text", "tokens", "characters"),
    [
        ("ab ab", 0, 0),
        ("ab xyz", 1 / 3, 3 / 5),
        # An accent is removed before words are looked up.
        ("ab Äb", 0, 0),
        ("ab " + "a" * 150, 1 / 3, 150 / 152),
        ("ab ab  a 猫 \n", 1 / 6, 1 / 6),
        ("  ", 0, 0),
        ("", 0, 0),
    ],
)
def test_shares(text, tokens, characters):
    assert shares(wordpiece("a", "##b", "##a"), text) == pytest.approx({"tokens": tokens, "characters": characters})


def test_shares_are_of_all_texts():
    assert shares(wordpiece("a", "##b"), "ab ab ab", "xyzz") == {"tokens": 1 / 7, "characters": 0.4}


def test_bytes_are_never_unknown():
    bpe = tokenizer_program.train({"algorithm": "bpe", "vocab_size": 300, "lowercase": False}, lambda: iter([["a b"]]))
    made = PreTrainedTokenizerFast(tokenizer_object=bpe, **SPECIAL)
    assert shares(made, "猫が好き 😀 \x07", "a" * 1000) == {"tokens": 0, "characters": 0}


@pytest.mark.parametrize(("share", "lines"), [(0, 0), (0.019, 0), (0.02, 1), (0.5, 1)])
def test_a_notable_share_is_mentioned(share, lines):
    assert len(coverage.judge(share, "data", "the text", "use another")) == lines


def test_most_of_a_text_must_be_known():
    with pytest.raises(cli.Failure, match="data: 51 % of the characters of the text are unknown to the tokenizer; use"):
        coverage.judge(0.51, "data", "the text", "use another")


def packed(program, folder, train, held_out, *tokens):
    """Manifest and record of texts that are packed with a tokenizer of these tokens."""
    for name, lines in (("train", train), ("held_out", held_out)):
        table = {"document": np.arange(len(lines)), "text": lines, "words": [len(line.split()) for line in lines]}
        pd.DataFrame(table).to_parquet(folder / f"{name}.parquet")
    wordpiece(*tokens).save_pretrained(folder / "tokenizer/letters/mine")
    program(
        pack, "--recipe", canonical({"row_length": 16, "packing": "continuous"}), "--train", folder / "train.parquet",
        "--held-out", folder / "held_out.parquet", "--segments-manifest", folder / "none.json", "--tokenizer",
        folder / "tokenizer/letters/mine", "--rows", folder / "rows.bin", "--index", folder / "index.parquet",
        "--held-out-rows", folder / "held_out.bin", "--manifest", folder / "manifest.json",
        "--record", folder / "record.json",
    )  # fmt: skip
    return [json.loads((folder / f"{name}.json").read_text()) for name in ("manifest", "record")]


def test_pack_says_what_is_unknown(program, tmp_path, capsys):
    (tmp_path / "none.json").write_text("{}")
    manifest, record = packed(program, tmp_path, ["ab ab xy", "ab ab"], ["ab", "ab"], "a", "##b")
    assert manifest["train"]["unknown"] == pytest.approx({"tokens": 1 / 9, "characters": 0.2})
    assert manifest["held_out"]["unknown"] == {"tokens": 0, "characters": 0}
    line = (
        "catalogue.tokenizers.mine: 20 % of the characters of the training text are unknown to the tokenizer; use"
        " algorithm: bpe, a larger vocab_size, or a checkpoint for this language"
    )
    assert record["notes"] == [line]
    assert capsys.readouterr().err == f"warning: {line}\n"


@pytest.mark.parametrize(("train", "held_out", "text"), [("xyz ab", "ab", "training"), ("ab", "xyz ab", "held-out")])
def test_text_that_is_mostly_unknown_is_not_packed(program, tmp_path, train, held_out, text):
    (tmp_path / "none.json").write_text("{}")
    with pytest.raises(cli.Failure, match=rf"catalogue.tokenizers.mine: 60 % of the characters of the {text} text"):
        packed(program, tmp_path, [train], [held_out], "a", "##b")
    assert not (tmp_path / "manifest.json").exists()


def test_text_without_tokens_is_not_packed(program, tmp_path):
    (tmp_path / "none.json").write_text("{}")
    with pytest.raises(cli.Failure, match="catalogue.tokenizers.mine: the held-out text has no tokens"):
        packed(program, tmp_path, ["ab"], ["\x01\x02"], "a", "##b")


def test_examples_that_are_cut():
    tokenizer = wordpiece("a", "##b")
    pairs = [["ab ab", "a", "xx"], ["a", "a", "a"]]
    special = tokenizer.num_special_tokens_to_add(pair=True)
    expected = {"examples": 3, "unknown": {"tokens": 1 / 9, "characters": 0.2}, "truncated": 0}
    assert coverage.of_examples(pairs, 5 + special, tokenizer) == expected
    assert coverage.of_examples(pairs, 4 + special, tokenizer)["truncated"] == 1 / 3
    assert coverage.of_examples(pairs[:1], 1, tokenizer)["truncated"] == 1 / 3


def test_a_table_of_texts(tmp_path):
    """A row for each model and text, from manifests; those of earlier releases lack the shares."""
    pack, old = tmp_path / "letters/mine/manifest.json", tmp_path / "letters/old/manifest.json"
    unknown = {"tokens": 0.1, "characters": 0.2}
    io.write_json(pack, {"train": {"tokens": 9, "unknown": unknown}, "held_out": {"tokens": 5, "unknown": unknown}})
    io.write_json(old, {"train": {"tokens": 9}, "held_out": {"tokens": 5}})
    parts = {"train": {"documents": 4, "words": 70}, "held_out": {"documents": 1, "words": 20}}
    io.write_json(tmp_path / "segments.json", parts | {"cut_documents": 1, "unused_words": 10})
    texts = {"validation": {"examples": 8, "unknown": unknown, "truncated": 0.5}}
    io.write_json(tmp_path / "finetune/a/8k/1/1/mrpc/manifest.json", {"runs": 1})
    io.write_json(tmp_path / "finetune/a/8k/1/2/mrpc/manifest.json", {"runs": 1, "texts": texts})
    recipe = {
        "models": ["a", "b", "c"], "cells": {"a": {"8k": {"1": 1, "2": 1}}, "b": {"8k": {"1": 1}}}, "seeds": [1, 2],
        "tokenizers": {"a": "mine", "b": "old", "c": "not packed"}, "tasks": {"mrpc": {}},
    }  # fmt: skip
    rows = list(aggregate.text_rows(recipe, tmp_path / "segments.json", [pack, old], tmp_path))
    table = pd.DataFrame(rows, columns=aggregate.TEXT).set_index(["model", "text", "split"])
    assert list(table.index) == [
        ("a", "letters", "train"), ("a", "letters", "held_out"), ("a", "letters", "unused"), ("a", "mrpc", "validation"),
        ("b", "letters", "train"), ("b", "letters", "held_out"), ("b", "letters", "unused"),
    ]  # fmt: skip
    assert table.loc[("a", "letters"), "words"].to_list() == [70, 20, 10]
    assert table.loc[("a", "letters", "unused"), "cut_documents"] == 1
    assert table.loc[("a", "letters", "train"), "unknown_characters"] == 0.2
    assert table.loc[("a", "mrpc", "validation"), ["examples", "unknown_tokens", "truncated"]].to_list() == [
        8,
        0.1,
        0.5,
    ]
    assert table.loc["b", "unknown_characters"].isna().all()
