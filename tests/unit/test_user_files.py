"""The user's files, from the names in a configuration to the files that are read."""

from pathlib import Path

import pytest

from gridlaw.cli import Failure
from gridlaw.config import user_files
from gridlaw.workflow import file_lists
from gridlaw.workflow.kinds import data

# Names that are patterns, variables, options or wildcards elsewhere.
ODD = [
    "[1998].txt", "train*.txt", "what?.txt", "$HOME.txt", "~.txt", "{v2}.txt", "a b.txt", "it's.txt", 'say "a".txt',
    "#1.txt", "-rf.txt", "Ähre.txt", "a::b.txt", "a|b;c&d.txt", "a\\b.txt", "100%.txt", "!a.txt", "a,b=c.txt",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    return tmp_path


def corpus_files(*names: str) -> list[str]:
    config = {"catalogue": {"corpora": {"letters": {"source": "files", "files": names}}}}
    return user_files.find_corpus_files(config, "letters", "files")


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_exists_is_that_file(folder, name):
    for other in (name, "1.txt", "train2.txt", "whats.txt"):
        Path("data", other).write_text(other)
    assert corpus_files(f"data/{name}") == [f"data/{name}"]


def test_a_pattern_gives_names_that_are_no_patterns(folder):
    for name in ODD:
        Path("data", name).write_text(name)
    assert corpus_files("data/*.txt") == sorted(f"data/{name}" for name in ODD)


def test_a_file_counts_once_however_it_is_written(folder):
    Path("data/a.txt").write_text("a")
    assert corpus_files("data/*.txt", "./data/a.txt", "data//a.txt", "data/**") == ["data/a.txt"]


def test_folders_are_no_files(folder):
    Path("data/sub.txt").mkdir()
    Path("data/sub.txt/b.txt").write_text("b")
    assert corpus_files("data/*.txt") == []
    assert corpus_files("data/**") == ["data/sub.txt/b.txt"]


def test_links_that_lead_back_are_not_followed(folder):
    Path("data/sub").mkdir()
    Path("data/sub/a.txt").write_text("a")
    Path("elsewhere").mkdir()
    Path("elsewhere/b.txt").write_text("b")
    Path("data/sub/back").symlink_to("../../data")
    Path("data/here").symlink_to(".")
    Path("data/linked").symlink_to("../elsewhere")
    files = ["data/linked/b.txt", "data/sub/a.txt"]
    assert corpus_files("data/**") == files
    assert corpus_files(f"{folder}/data/**/*.txt") == [f"{folder}/{file}" for file in files]
    assert corpus_files("**/sub/**/a*") == ["data/sub/a.txt"]
    Path("data/sub/.hidden").mkdir()
    Path("data/sub/.hidden/c.txt").write_text("c")
    assert corpus_files("./**/*.txt") == [*files, "elsewhere/b.txt"]


@pytest.mark.parametrize("name", ["model [v2]", "model*", "{v2}", "m?del"])
def test_files_of_a_checkpoint_in_a_folder_with_an_odd_name(folder, name):
    for place in (name, "model2", "model v", "model"):
        Path(place, "tokenizer").mkdir(parents=True)
        for file in ("config.json", "model.safetensors", "tokenizer.json", "README.md", "tokenizer/vocab.txt"):
            Path(place, file).write_text("x")
    files = ["config.json", "model.safetensors", "tokenizer.json"]
    assert user_files.find_checkpoint_files(f"./{name}") == [f"./{name}/{file}" for file in files]


def test_programs_get_a_list_of_files(folder):
    names = [f"data/{name}" for name in ODD]
    given = file_lists.replace(data.CORPUS, ["letters"], {"files": names, "held_out_files": []})
    (listed,) = given["files"]
    assert given["held_out_files"] == []
    for name in names:
        Path(name).write_text("x")
    assert file_lists.read(listed) == names
    before = Path(listed).stat().st_mtime_ns
    assert file_lists.replace(data.CORPUS, ["letters"], {"files": names, "held_out_files": []}) == given
    assert Path(listed).stat().st_mtime_ns == before, "an equal list is not written again"


def test_files_of_a_checkpoint_are_no_input_of_snakemake(folder):
    assert file_lists.replace(data.CHECKPOINT, ["mine"], {"files": ["./model {v2}/config.json"]}) == {"files": []}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "No such file"),
        (b"data/a.txt\nid,text\n", "line 2 is no file: 'id,text'"),
        (b"", "line 1 is no file: ''"),
        (b"caf\xe9.txt\n", "expected a text file with the name of a file on each line"),
    ],
)
def test_a_bad_list_is_one_line(folder, content, line):
    Path("data/a.txt").write_text("a")
    if content is not None:
        Path("files.list").write_bytes(content)
    with pytest.raises(Failure, match=line) as raised:
        file_lists.read("files.list")
    assert len(str(raised.value).splitlines()) == 1
