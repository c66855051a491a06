"""Mistakes in the user's files that are one line of the configuration, before anything starts."""

import copy
import os
from pathlib import Path

import pytest
from conftest import default
from snakemake.utils import update_config

from gridlaw.config.loading import complete

DEFAULT = default()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    for name in ("a.txt", "b.txt", "train.csv", "dev.csv"):
        Path("data", name).write_text("text,label\n")
    return tmp_path


def mistakes(corpus=None, task=None, absent=False) -> list[str]:
    """The lines about a grid with a corpus and a task of local files."""
    corpus = {"files": ["data/a.txt"]} | (corpus or {})
    task = {"train": "data/train.csv", "validation": "data/dev.csv"} | (task or {})
    config = copy.deepcopy(DEFAULT)
    overlay = {
        "corpora": {"mine": {"source": "files", **corpus}},
        "tasks": {"mine": {"source": "files", "files": task, "text": ["text"], "metrics": ["f1"]}},
    }
    update_config(
        config, {"corpus": "mine", "sizes": [0, "all"], "tasks": ["mine"], "exclude": [], "catalogue": overlay}
    )
    try:
        complete(config, absent=absent)
    except ValueError as lines:
        return str(lines).splitlines()
    return []


def make(name: str) -> None:
    """Make what a name of a test stands for."""
    path = Path("data", name)
    if name.startswith("gone"):
        path.symlink_to("../elsewhere/text.txt")
    elif name.startswith("loop"):
        path.symlink_to(path.name)
    elif name.startswith("pipe"):
        os.mkfifo(path)
    elif name.startswith("folder"):
        path.mkdir()
    else:
        path.write_text("" if name.startswith("empty") else "text")


WRONG = {
    "gone.txt": "data/gone.txt is a link to nothing: ../elsewhere/text.txt does not exist",
    "loop.txt": "data/loop.txt cannot be read: Too many levels of symbolic links",
    "pipe.txt": "data/pipe.txt is a device, a pipe or a socket; expected a file",
    "empty.txt": "data/empty.txt is empty",
    "a.docx": "data/a.docx ends in .docx; expected one of .txt, .jsonl, .json, .parquet, .csv, .tsv, and for text"
    " formats maybe .gz or .zst after it",
    "a\nb.txt": r"'data/a\nb.txt' has a line break in its name; rename it",
    "caf\udce9.txt": r"'data/caf\udce9.txt' has bytes in its name that are not UTF-8; rename it",
}


def test_good_files(folder):
    assert mistakes() == []
    assert mistakes({"files": ["data/a*"], "held_out_files": ["data/b.txt"]}) == []


@pytest.mark.parametrize(("name", "line"), WRONG.items(), ids=map(ascii, WRONG))
@pytest.mark.parametrize("option", ["files", "held_out_files"])
def test_a_file_that_cannot_be_read(folder, option, name, line):
    make(name)
    files = [f"data/{name[0]}*{name[-4:]}", "data/a.txt"] if option == "files" else [f"data/{name}"]
    (found,) = mistakes({option: files})
    assert found == f"config: catalogue.corpora.mine.{option}: {line}"


def test_a_folder_is_no_file_unless_a_pattern_matches_it(folder):
    make("folder.txt")
    assert mistakes({"files": ["data/*.txt"]}) == []
    assert mistakes({"files": ["data/folder.txt"]}) == [
        "config: catalogue.corpora.mine.files: data/folder.txt is a folder; expected a file, or for a corpus a pattern"
        " such as data/folder.txt/*"
    ]


def test_many_files_that_cannot_be_read_are_one_line(folder):
    for number in range(300):
        Path(f"data/gone{number:03}.txt").symlink_to("nowhere")
    assert mistakes({"files": ["data/*.txt"]}) == [
        "config: catalogue.corpora.mine.files: data/gone000.txt is a link to nothing: nowhere does not exist"
        " (299 other files cannot be read either)"
    ]


def test_where_files_were_looked_for(folder):
    assert mistakes({"files": ["data/*.md", "data/a.txt"], "held_out_files": ["/no/*.txt"]}) == [
        f"config: catalogue.corpora.mine.files: nothing matches data/*.md in {folder}",
        "config: catalogue.corpora.mine.held_out_files: nothing matches /no/*.txt",
    ]
    assert mistakes({"files": ["~/data/*.txt"]}) == [
        f"config: catalogue.corpora.mine.files: nothing matches ~/data/*.txt in {folder}; ~, $ and braces stand for themselves"
    ]
    assert mistakes(task={"train": "./data/trian.csv", "validation": "/no/dev.csv"}) == [
        f"config: catalogue.tasks.mine.files.train: data/trian.csv does not exist in {folder}",
        "config: catalogue.tasks.mine.files.validation: /no/dev.csv does not exist",
    ]


def test_a_name_that_no_file_can_have(folder):
    assert mistakes(task={"train": "data/a\0b.csv"}) == [
        r"config: catalogue.tasks.mine.files.train: 'data/a\x00b.csv' is no name that a file can have"
    ]


def test_the_files_of_an_archive_may_be_missing(folder):
    make("gone.txt")
    make("gone.csv")
    assert (
        mistakes({"files": ["data/gone.txt", "no/*"]}, {"train": "data/gone.csv", "validation": "no.csv"}, True) == []
    )


def test_files_without_permission(folder, monkeypatch):
    # A test may run as root, who can read everything.
    monkeypatch.setattr(os, "access", lambda path, mode: "a.txt" not in str(path))
    assert mistakes() == [
        "config: catalogue.corpora.mine.files: data/a.txt cannot be read: its permissions do not allow it"
    ]


def test_held_out_files_are_not_trained_on(folder):
    assert mistakes({"files": ["data/*.txt"], "held_out_files": ["./data/b.txt"]}) == [
        "config: catalogue.corpora.mine.held_out_files: data/b.txt is in files too; expected files that no model is"
        " trained on"
    ]


def test_formats_of_a_corpus_are_the_same(folder):
    (line,) = mistakes({"files": ["data/*"]})
    assert line.endswith("files: data/a.txt and data/dev.csv differ in format; expected the same for all")


def test_formats_of_a_task(folder):
    (line,) = mistakes(task={"train": "data/a.txt"})
    assert line.startswith("config: catalogue.tasks.mine.files.train: data/a.txt ends in .txt; expected one of .jsonl")


@pytest.mark.parametrize(
    "name", ["[1998] {v2}.csv", "train*.csv", "$HOME.csv", "-n.CSV", "a b'c\"d.csv.gz", "Ähre.csv"]
)
def test_a_file_of_a_task_has_any_name(folder, name):
    Path("data", name).write_text("text,label\n")
    assert mistakes(task={"train": f"data/{name}"}) == []
