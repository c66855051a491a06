"""From sources to slices, program by program."""

import gzip
import json

import corpus
import pandas as pd
import pytest
import slice as slice_program
import task

from gridlaw import cli
from gridlaw.canonical_json import canonical

PARAGRAPHS = [f"Document {number} has a few words of its own, number {number}." for number in range(30)]


def write(folder, name, paragraphs=PARAGRAPHS):
    file = folder / name
    if ".txt" in name:
        content = "\n\n".join(paragraphs)
    elif ".jsonl" in name:
        content = "\n".join(json.dumps({"body": text, "text": text}) for text in paragraphs)
    elif name.endswith(".parquet"):
        pd.DataFrame({"text": paragraphs}).to_parquet(file)
        return file
    else:
        content = pd.DataFrame({"text": paragraphs}).to_csv(index=False)
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(content.encode()))
    else:
        file.write_text(content)
    return file


def listed(folder, files):
    file = folder / "files.list"
    file.write_text("".join(f"{name}\n" for name in files))
    return file


def fetch(program, folder, *files, recipe=None, **more):
    recipe = {"source": "files", "column": "text", "documents": "auto", **(recipe or {}), **more}
    out = [folder / name for name in ("documents.parquet", "manifest.json", "record.json")]
    flags = zip(("--documents", "--manifest", "--record"), out, strict=True)
    flags = [part for pair in flags for part in pair]
    program(corpus, "--recipe", canonical(recipe), "--files", listed(folder, files), *flags)
    return pd.read_parquet(out[0]), json.loads(out[1].read_text())


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.jsonl.gz", "a.parquet", "a.csv", "a.csv.gz"])
def test_formats(program, tmp_path, name):
    documents, manifest = fetch(program, tmp_path, write(tmp_path, name))
    assert [text.strip() for text in documents["text"]] == PARAGRAPHS
    assert manifest["documents"] == 30
    assert manifest["words"] == sum(len(text.split()) for text in PARAGRAPHS)


def test_several_txt_files_are_documents(program, tmp_path):
    files = [write(tmp_path, f"{name}.txt", [name, "more"]) for name in "cab"]
    documents, _ = fetch(program, tmp_path, *files)
    assert [text.split()[0] for text in documents["text"]] == ["a", "b", "c"]
    documents, _ = fetch(program, tmp_path, *files, documents="line")
    assert len(documents) == 6


def test_column(program, tmp_path):
    documents, _ = fetch(program, tmp_path, write(tmp_path, "a.jsonl"), column="body")
    assert len(documents) == 30


def test_manifest_is_the_same_again(program, tmp_path):
    file = write(tmp_path, "a.txt")
    assert fetch(program, tmp_path, file)[1] == fetch(program, tmp_path, file)[1]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.txt", b"", "a.txt: empty"),
        ("a.txt", b" \n\n \n", "contains no text"),
        (
            "a.txt",
            "Fähre nach Åland\n".encode("latin-1"),
            r"a.txt: not UTF-8 \(byte 0xe4 in line 1\); .* iconv -f latin1 -t utf-8",
        ),
        ("a.jsonl", b'{"other": "x"}\n', "no column text; expected one of other"),
        ("a.jsonl", b"{broken\n", "a.jsonl"),
        ("a.csv", b"text,label\n", "contains no text|a.csv"),
        ("a.parquet", b"not parquet", "a.parquet"),
        ("a.docx", b"x", "expected one of .txt"),
    ],
)
def test_bad_input_is_one_line(program, tmp_path, name, content, line):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(cli.Failure, match=line) as raised:
        fetch(program, tmp_path, tmp_path / name)
    assert len(str(raised.value).splitlines()) == 1


def test_slices_in_tokens():
    import numpy as np

    total = np.cumsum([10, 20, 30, 40])
    assert [slice_program.count_segments(total, tokens) for tokens in (1, 10, 11, 30, 100, None)] == [1, 1, 2, 2, 4, 4]
    with pytest.raises(cli.Failure, match="sizes: 101 is more than the 100 tokens of the corpus"):
        slice_program.count_segments(total, 101)


def make_task(program, folder, train, validation, **recipe):
    files = []
    for split, rows in (("train", train), ("validation", validation)):
        pd.DataFrame(rows).to_csv(folder / f"{split}.csv", index=False)
        files.append(folder / f"{split}.csv")
    recipe = {"source": "files", "text": ["a"], "label": "label", "kind": "classification", "train": "train",
              "validation": ["validation"], "seed": 1, **recipe}  # fmt: skip
    out = [folder / "examples.parquet", folder / "manifest.json", folder / "record.json"]
    written = ["--examples", out[0], "--manifest", out[1], "--record", out[2]]
    program(task, "--recipe", canonical(recipe), "--files", listed(folder, files), *written)
    return pd.read_parquet(out[0]), json.loads(out[1].read_text())


def test_task_from_files(program, tmp_path):
    train = [{"a": f"text {number}", "label": "yes" if number < 50 else "no"} for number in range(100)]
    examples, manifest = make_task(program, tmp_path, train, train[:10])
    assert manifest["classes"] == ["no", "yes"]
    assert manifest["splits"] == {"train": 100, "validation": 10}
    prefix = examples[examples["split"] == "train"]["label"][:20]
    assert 0 < prefix.sum() < 20, "prefixes are of a shuffle, not of the file's order"


@pytest.mark.parametrize(
    ("rows", "recipe", "line"),
    [
        ([{"b": "x", "label": 1}], {}, "no column a; expected one of b, label"),
        ([{"a": "x", "label": 1}], {}, "all examples have the label 1"),
        ([{"a": "x", "label": "n/n"}, {"a": "y", "label": "2"}], {"kind": "regression"}, "expected numbers"),
        ([{"a": "x", "label": 1}, {"a": "y", "label": None}], {}, "labels are missing"),
    ],
)
def test_bad_task_is_one_line(program, tmp_path, rows, recipe, line):
    with pytest.raises(cli.Failure, match=line):
        make_task(program, tmp_path, rows, rows, **recipe)
