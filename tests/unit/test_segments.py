"""What is held out, and what is trained on: whole documents, or parts of those that are too long for that."""

import hashlib
import json
from pathlib import Path

import corpus
import numpy as np
import pandas as pd
import pytest
import segments

from gridlaw import cli
from gridlaw.canonical_json import canonical
from gridlaw.data import language

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "old", "stone", "in", "green", "grass", "by", "river"]


def split(lengths, held_out_words, seed=1, reserved=(), segment=10):
    """Documents of some numbers of words, cut into segments; gives the documents of both parts, and the words left."""
    counts = [[min(segment, length - start) for start in range(0, length, segment)] for length in lengths]
    document = np.repeat(np.arange(len(lengths)), list(map(len, counts)))
    words = np.concatenate(counts)
    train, held_out = segments.split(document, words, np.array(reserved, int), held_out_words, seed)
    assert not (train & held_out).any()
    return set(document[train]), set(document[held_out]), words[train].sum(), words[held_out].sum()


def test_held_out_documents_are_nobody_elses():
    train, held_out, *_ = split([12] * 30, 40)
    assert not train & held_out
    assert len(train | held_out) == 30
    assert len(held_out) == 4
    assert split([12] * 30, 40)[1] == held_out
    assert split([12] * 30, 40, seed=2)[1] != held_out


def test_a_corpus_may_bring_its_held_out_documents():
    train, held_out, *_ = split([12] * 30, 20, reserved=[3, 7, 9])
    assert held_out <= {3, 7, 9}
    assert train == set(range(30)) - {3, 7, 9}


def test_reserved_documents_are_not_cut():
    train, held_out, *_, words = split([500, 400, 300], 100, reserved=[1])
    assert train == {0, 2}
    assert held_out == {1}
    assert words == 400


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lengths", [[3000, 2900, 15000, 4000, 6000, 2000], [15000], [40] * 200 + [20000]])
def test_no_more_is_held_out_than_twice_the_text(lengths, seed):
    *_, trained, held_out = split(lengths, 1000, seed)
    assert 1000 <= held_out < 1200
    assert trained + held_out == sum(lengths)


def test_long_documents_are_cut_into_blocks():
    document = np.repeat([0, 1, 2], [2, 30, 1])
    words = np.full(33, 10)
    assert segments.number_units(document, words, 100).tolist() == [0, 0, *range(1, 31), 31]
    assert segments.number_units(document, words, 250).tolist() == [0, 0, *np.repeat(range(1, 13), 6 * [3, 2]), 13]
    assert segments.number_units(document, words, 300).tolist() == [0, 0, *[1] * 30, 2]


@pytest.mark.parametrize(
    ("lengths", "reserved", "line"),
    [
        ([12], (), "data.held_out_words: 40 is more than the 12 words that can be held out"),
        ([12] * 5, (), "data.held_out_words: 40 leaves 12 of 60 words to train on"),
        ([70], (), "data.held_out_words: 40 leaves 30 of 70 words to train on"),
        ([12] * 9, [1, 2], "data.held_out_words: 40 is more than the 24 words that can be held out"),
    ],
)
def test_too_little_to_hold_out(lengths, reserved, line):
    with pytest.raises(cli.Failure, match=line) as raised:
        split(lengths, 40, reserved=reserved)
    assert len(str(raised.value).splitlines()) == 1


def run(program, folder, files, documents="auto", **recipe):
    """From files to segments."""
    options = {"source": "files", "column": "text", "documents": documents}
    (folder / "files.list").write_text("".join(f"{file}\n" for file in files))
    program(
        corpus, "--recipe", canonical(options), "--files", folder / "files.list", "--documents", folder / "documents.parquet",
        "--manifest", folder / "corpus.json", "--record", folder / "record.json",
    )  # fmt: skip
    recipe = {"segment_words": 22, "held_out_words": 1000, "seed": 1} | recipe
    program(
        segments, "--recipe", canonical(recipe), "--documents", folder / "documents.parquet",
        "--corpus", folder / "corpus.json", "--train", folder / "train.parquet", "--held-out",
        folder / "held_out.parquet", "--manifest", folder / "manifest.json", "--record", folder / "record.json",
    )  # fmt: skip
    tables = [pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "held_out")]
    return *tables, json.loads((folder / "manifest.json").read_text())


def sentences(number, seed):
    draw = np.random.default_rng(seed)
    return [f"{' '.join(draw.choice(WORDS, draw.integers(6, 14)))} {seed}-{line}." for line in range(number)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_few_large_files(program, tmp_path, seed):
    """No file is held out as a whole, no line is in both parts, and nothing is lost but the rest of one block."""
    for place, number in enumerate([300, 290, 1500, 400, 600, 200]):
        (tmp_path / f"{place}.txt").write_text("\n".join(sentences(number, place)) + "\n")
    train, held_out, manifest = run(program, tmp_path, sorted(tmp_path.glob("*.txt")), seed=seed)
    words = sum(len(file.read_text().split()) for file in tmp_path.glob("*.txt"))
    counts = manifest["train"]["words"], manifest["held_out"]["words"], manifest["unused_words"]
    assert sum(counts) == words
    assert counts[0] > 0.95 * words
    assert 1000 <= counts[1] < 1022
    assert counts[2] < 200
    assert manifest["held_out"]["documents"] > 1
    assert manifest["cut_documents"] >= manifest["held_out"]["documents"]
    assert manifest["train"]["documents"] == 6
    marks = [{word for text in table["text"] for word in text.split() if "-" in word} for table in (train, held_out)]
    assert marks[0] and marks[1] and not marks[0] & marks[1]


def test_one_file_of_a_sentence_a_line(program, tmp_path):
    (tmp_path / "all.txt").write_text("\n".join(sentences(1500, 1)))
    train, _, manifest = run(program, tmp_path, [tmp_path / "all.txt"])
    assert manifest["train"]["documents"] == manifest["cut_documents"] == 1
    assert manifest["train"]["words"] == train["words"].sum() > 10 * manifest["held_out"]["words"]
    assert manifest["unused_words"] < 200


def test_short_documents_are_held_out_as_ever(program, tmp_path):
    """The digests are those of the release before long documents were cut."""
    texts = [" ".join(text.split("\n")) for text in language.documents(1, 30_000)]
    (tmp_path / "a.txt").write_text("\n\n".join(texts))
    *tables, manifest = run(program, tmp_path, [tmp_path / "a.txt"])
    digests = [hashlib.sha256("\0".join(table["text"]).encode()).hexdigest()[:16] for table in tables]
    assert digests == ["7bce03c6cf18a4cc", "a589d85a5a0b1657"]
    assert manifest["cut_documents"] == 0
    assert manifest["unused_words"] < 1000


@pytest.mark.parametrize("character", ["あ", "ก", "က", "好"])
def test_text_without_spaces(program, tmp_path, character):
    """Words are characters there, so that neither a segment nor the held-out text is ten times too long."""
    draw = np.random.default_rng(1)
    lines = ["".join(chr(ord(character) + draw.integers(40)) for _ in range(400)) for _ in range(50)]
    (tmp_path / "a.txt").write_text("\n\n".join(lines))
    train, held_out, manifest = run(program, tmp_path, [tmp_path / "a.txt"])
    assert max(map(len, [*train["text"], *held_out["text"]])) <= 3 * 22
    assert 1000 <= manifest["held_out"]["words"] <= 1022
    assert sum(map(len, train["text"])) > 15_000


def test_the_folder_of_a_grid_may_have_any_name(program, tmp_path, monkeypatch):
    documents = {}
    # The first name is a pattern of the second.
    for name, number in {"run[1]": 60, "run1": 90, "$HOME *": 120}.items():
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        Path("a.txt").write_text("\n\n".join(" ".join(WORDS) for _ in range(number)))
        *_, manifest = run(program, Path(), ["a.txt"], held_out_words=100)
        documents[number] = manifest["train"]["documents"] + manifest["held_out"]["documents"]
    assert all(count == number for number, count in documents.items())
