"""From sources to slices, program by program."""

import gzip
import json

import corpus
import pandas as pd
import pytest
import slice as slice_program
import task
from datasets import ClassLabel, Dataset, Features, Value

from gridlaw import cli
from gridlaw.canonical_json import canonical
from gridlaw.data import hub

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


def make_task(program, folder, train, validation, suffix="csv", **recipe):
    files = []
    for split, rows in (("train", train), ("validation", validation)):
        file, table = folder / f"{split}.{suffix}", pd.DataFrame(rows)
        if suffix == "csv":
            table.to_csv(file, index=False)
        elif suffix == "parquet":
            table.to_parquet(file)
        else:
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        files.append(file)
    recipe = {"source": "files", "text": ["a"], "label": "label", "kind": "classification", "train": "train",
              "validation": ["validation"], "seed": 1, **recipe}  # fmt: skip
    place = folder / "mine"
    place.mkdir(exist_ok=True)
    out = [place / "examples.parquet", place / "manifest.json", place / "record.json"]
    written = ["--examples", out[0], "--manifest", out[1], "--record", out[2]]
    program(task, "--recipe", canonical(recipe), "--files", listed(folder, files), *written)
    return pd.read_parquet(out[0]), json.loads(out[1].read_text())


def labelled(*labels):
    return [{"a": f"text {number}", "label": label} for number, label in enumerate(labels)]


def test_task_from_files(program, tmp_path):
    train = labelled(*["yes"] * 50, *["no"] * 50)
    examples, manifest = make_task(program, tmp_path, train, [*train[:5], *train[-5:]])
    assert manifest["classes"] == ["no", "yes"]
    assert manifest["splits"] == {"train": 100, "validation": 10}
    prefix = examples[examples["split"] == "train"]["label"][:20]
    assert 0 < prefix.sum() < 20, "prefixes are of a shuffle, not of the file's order"


@pytest.mark.parametrize(
    ("suffix", "train", "validation", "classes"),
    [
        ("csv", [0, 1, 10, 2], [2, 10], [0, 1, 2, 10]),
        ("csv", ["1.0", "0.0"], ["0.0"], [0, 1]),
        ("csv", ["1", "2", "other"], ["2", "1"], ["1", "2", "other"]),
        ("csv", ["True", "False"], ["False"], ["False", "True"]),
        ("jsonl", [True, False], [False], [False, True]),
        ("jsonl", ["1", "0"], ["1"], ["0", "1"]),
        ("parquet", [1.0, 0.0], [1.0], [0, 1]),
        ("jsonl", ["naïve", "a, b", "two\nlines", "x" * 500], ["a, b"], ["a, b", "naïve", "two\nlines", "x" * 500]),
        ("jsonl", list(range(1000)), [999], list(range(1000))),
    ],
)
def test_classes_are_those_of_the_training_split(program, tmp_path, capsys, suffix, train, validation, classes):
    examples, manifest = make_task(program, tmp_path, labelled(*train), labelled(*validation), suffix)
    assert manifest["classes"] == classes
    for split, labels in (("train", train), ("validation", validation)):
        rows = examples[examples["split"] == split]
        numbers = dict(zip(rows["a"], rows["label"], strict=True))
        read = [classes[numbers[f"text {number}"]] for number in range(len(labels))]
        assert list(map(str, read)) == [str(label).removesuffix(".0") for label in labels]
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert "such a class counts as 0" in notes[-1]
    assert len(notes) == 1 + (len(validation) == 1)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_scores_may_be_text(program, tmp_path, suffix):
    examples, manifest = make_task(
        program, tmp_path, labelled("1.5", "-2", "1e3"), labelled("0"), suffix, kind="regression"
    )
    assert manifest["classes"] is None
    assert sorted(examples["label"]) == [-2, 0, 1.5, 1000]


def test_constant_labels_of_a_validation_split_are_noted(program, tmp_path, capsys):
    make_task(program, tmp_path, labelled(1, 2), labelled(2, 2), kind="regression")
    assert "validation.csv: all labels are the same; a correlation with them is 0" in capsys.readouterr().err


GOOD = labelled(*"abab")
SCORES = labelled(1.5, 2.5, 0.5)
BAD_TASKS = {
    "no text column": ([{"b": "x", "label": 1}], GOOD, {}, "catalogue.tasks.mine.text: .*train.jsonl: no column a; expected one of b, label"),
    "no label column": (GOOD, [{"a": "x", "y": 1}], {}, "catalogue.tasks.mine.label: .*validation.jsonl: no column label; expected one of a, y"),
    "one class": (labelled("x", "x"), GOOD, {}, "catalogue.tasks.mine.label: label: .*train.jsonl: all examples have the label x; expected at least two"),
    "one example": (labelled("x"), GOOD, {}, "train.jsonl: all examples have the label x"),
    "constant scores": (labelled(2, 2.0), SCORES, {"kind": "regression"}, "train.jsonl: all examples have the label 2; expected labels that differ"),
    "text for scores": (labelled(1, "n/n"), SCORES, {"kind": "regression"}, "train.jsonl, row 2: label is not a number \\('n/n'\\); expected a number"),
    "NaN for a score": (labelled(1, 2, float("nan")), SCORES, {"kind": "regression"}, "train.jsonl, row 3: label is (not a number|missing)"),
    "inf for a score": (SCORES, labelled(1.5, float("-inf")), {"kind": "regression"}, "validation.jsonl, row 2: label is not a number \\(-inf\\)"),
    "text that is NaN": (SCORES, labelled("1.5", "nan"), {"kind": "regression"}, "validation.jsonl, row 2: label is not a number \\(nan\\)"),
    "too large a score": (labelled(1e308, 2.0), SCORES, {"kind": "regression"}, "train.jsonl, row 1: label is too large \\(1e\\+308\\)"),
    "true for a score": (labelled(True, False), SCORES, {"kind": "regression"}, "train.jsonl, row 1: label is not a number \\(a bool\\)"),
    "no label": (labelled("x", None, "y"), GOOD, {}, "train.jsonl, row 2: label is missing, as in 1 of 3 rows"),
    "a null score": (labelled(1, None, 2), SCORES, {"kind": "regression"}, "train.jsonl, row 2: label is missing"),
    "an empty label": (labelled("x", " ", "y"), GOOD, {}, "train.jsonl, row 2: label is empty"),
    "a fraction": (labelled(0.5, 1.5), GOOD, {}, "train.jsonl, row 1: label has a fraction \\(0.5\\); expected .* or kind: regression"),
    "a list": (labelled(["x"], ["y"]), GOOD, {}, "train.jsonl, row 1: label is a list \\(\\['x'\\]\\); expected a class"),
    "a list of scores": (labelled([1], [2]), SCORES, {"kind": "regression"}, "train.jsonl, row 1: label is not a number \\(a list\\)"),
    "a mapping": (labelled({"x": 1}, {"x": 2}), GOOD, {}, "train.jsonl, row 1: label is a dict"),
    "two types in one file": (labelled("1", 1, "2"), GOOD, {}, "train.jsonl, row 2: label is a whole number \\(1\\), and that of .*train.jsonl, row 1, is text"),
    "two types": (labelled(1, 2), labelled("1", "2"), {}, "validation.jsonl, row 1: label is text \\('1'\\), and that of .*train.jsonl, row 1, is a whole number \\(1\\)"),
    "a class of one split": (GOOD, labelled("a", "neu", "neu"), {}, "validation.jsonl, row 2: label is neu, in 2 of 3 rows, and in no row of .*train.jsonl; expected a class of the training split: a and b$"),
    "a class with a slip": (labelled("good", "bad"), labelled("godo"), {}, "did you mean good"),
    "hidden labels": (labelled(0, 1), labelled(-1, -1), {}, "validation.jsonl, row 1: label is -1, in 2 of 2 rows, .* not a hidden test set$"),
    "many classes": (labelled(*range(1000)), labelled("z"), {}, "label is text"),
    "many unknown classes": (labelled(*range(1000)), labelled(*range(2000)), {}, "label is 1000, 1001, 1002, 1003, 1004, 1005 and 994 more, in 1000 of 2000 rows, .*: 0, 1, 2, 3, 4, 5 and 994 more"),
    "odd names of classes": (labelled("a", "b\nc"), labelled("x" * 99, "\n"), {}, "label is empty"),
    "a long name of a class": (labelled("a", "b\nc"), labelled("x" * 99), {}, r"label is x{40}…, in 1 of 1 row, .*: a and b\\nc$"),
    "a fraction for a text": ([{"a": 0.5, "label": "x"}, {"a": 1.5, "label": "y"}], GOOD, {}, "train.jsonl, row 1: column a holds a float \\(0.5\\); expected text"),
    "a list for a text": ([{"a": ["x"], "label": "x"}, {"a": ["y"], "label": "y"}], GOOD, {}, "train.jsonl, row 1: column a holds a list"),
    "no text at all": ([{"a": "", "label": "x"}, {"a": None, "label": "y"}, {"a": " ", "label": "y"}], GOOD, {}, "train.jsonl: column a is empty in every row"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TASKS)
def test_a_bad_task_is_one_line(program, tmp_path, name):
    train, validation, recipe, line = BAD_TASKS[name]
    with pytest.raises(cli.Failure, match=line) as raised:
        make_task(program, tmp_path, train, validation, "jsonl", **recipe)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("label", [0, 1])
def test_hidden_labels_of_the_hub(monkeypatch, label):
    features = Features({"a": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    rows = Dataset.from_dict({"a": ["x", "y", "z"], "label": [label, -1, -1]}, features=features)
    monkeypatch.setattr(hub, "read_split", lambda *_: rows)
    recipe = {"source": "hub", "dataset": "d", "config": "c", "text": ["a"], "label": "label", "train": "train",
              "validation": ["test"]}  # fmt: skip
    for split, columns in task.load(recipe, {}, "commit", "catalogue.tasks.mine"):
        assert columns == {"a": ["x", "y", "z"], "label": [label, None, None]}
        with pytest.raises(cli.Failure, match=f"split {split}, row 2: label is missing, as in 2 of 3 rows; .* hidden"):
            task.frame(columns, recipe, f"split {split}")


def test_an_empty_split_is_one_line():
    with pytest.raises(cli.Failure, match="dev.csv: empty; expected at least one example"):
        task.frame({"a": [], "label": []}, {"text": ["a"], "label": "label"}, "dev.csv")


def test_rows_without_text_are_left_out_and_counted(program, tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"text": "one word"}\n{"text": null}\n{"text": " "}\n{"id": 4}\n')
    documents, manifest = fetch(program, tmp_path, tmp_path / "a.jsonl")
    assert list(documents["text"]) == ["one word"]
    assert manifest["documents"] == 1
    assert "2 rows without text left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv", "id,text\n1,\n2,\n", r"catalogue.corpora.\S+.column: text contains no text"),
        ("a.csv", "id,body\n1,a\n", r"catalogue.corpora.\S+.column: .*a.csv: no column text; expected one of id, body"),
        ("a.txt", " \n", r"catalogue.corpora.\S+: the corpus contains no text"),
    ],
)
def test_a_corpus_without_text_names_the_column(program, tmp_path, name, content, line):
    (tmp_path / name).write_text(content)
    with pytest.raises(cli.Failure, match=line):
        fetch(program, tmp_path, tmp_path / name)
