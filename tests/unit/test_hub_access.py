"""What the hub does not give is one line; what is in the cache at a commit needs no hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub import COMMIT, fill, serve

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
OTHER = "1" * 40
# The libraries read their environment once, when they are imported.
PROGRAM = """
import json, sys
from gridlaw import cli
from gridlaw.data import hub

for name, *arguments in json.loads(sys.argv[1]):
    try:
        answer = getattr(hub, name)(*arguments, "the.key")
        print(answer if isinstance(answer, str) else len(answer) if name == "read_split" else
              sorted(file.name for file in answer.iterdir()))
    except cli.Failure as failure:
        print(failure)
"""
TOKENIZER = ["tokenizer.json", "tokenizer_config.json"]
SPLIT = ("read_split", "someone/tasks", "pairs", "train", COMMIT)
FILES = ("fetch_files", "someone/encoder", COMMIT, ["tokenizer*"])


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    fill(folder)
    return folder


def ask(address: str, home: Path, *calls: tuple, **environment: str) -> list[str]:
    """Call functions of the module in a process of its own; gives a line for each, and asserts that no other is shown."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(calls)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS), "HF_ENDPOINT": address, "HF_HOME": str(home), **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == len(calls)
    return lines


@pytest.fixture(scope="module")
def cached(repositories, tmp_path_factory):
    """A cache with a split and files at a commit, and the address of a hub that is gone."""
    home = tmp_path_factory.mktemp("cache")
    with serve(repositories) as address:
        fetched = ask(address, home, ("commit", "someone/tasks", "main", "dataset"), SPLIT, FILES)
    assert fetched == [COMMIT, "40", str(TOKENIZER)]
    return address, home


# A request without an answer is made five times, with pauses.
AGAIN = pytest.mark.extended


@pytest.mark.parametrize(
    "environment",
    [pytest.param({}, marks=AGAIN, id="no connection"), pytest.param({"HF_HUB_OFFLINE": "1"}, id="offline")],
)
def test_what_is_cached_at_a_commit_needs_no_hub(cached, environment):
    address, home = cached
    answers = ask(address, home, ("commit", "someone/tasks", COMMIT, "dataset"), SPLIT, FILES, **environment)
    assert answers == [COMMIT, "40", str(TOKENIZER)]


def test_a_mirror_with_commits_of_its_own(repositories, tmp_path):
    calls = (*SPLIT[:-1], OTHER), ("fetch_files", "someone/encoder", OTHER, ["tokenizer*"])
    with serve(repositories) as address:
        assert ask(address, tmp_path, *calls) == ["40", str(TOKENIZER)]
    assert ask(address, tmp_path, *calls, HF_HUB_OFFLINE="1") == ["40", str(TOKENIZER)]


def test_offline_a_branch_is_what_the_cache_has(cached):
    address, home = cached
    (home / "hub/models--someone--encoder/refs").mkdir(exist_ok=True)
    (home / "hub/models--someone--encoder/refs/main").write_text(COMMIT)
    calls = [("commit", "someone/encoder", name, "model") for name in ("main", "v9")]
    main, other = ask(address, home, *calls, HF_HUB_OFFLINE="1")
    assert main == COMMIT
    assert other == (
        "model someone/encoder at revision v9 cannot be fetched: HF_HUB_OFFLINE is set, and the cache does not have it"
        " (the.key)"
    )


def test_another_commit_is_not_taken_from_the_cache(cached):
    address, home = cached
    split, files = ask(
        address, home, (*SPLIT[:-1], OTHER), ("fetch_files", "someone/encoder", OTHER, TOKENIZER), HF_HUB_OFFLINE="1"
    )
    assert split == (
        f"dataset someone/tasks (config pairs, split train, revision {OTHER}) cannot be fetched: HF_HUB_OFFLINE is set,"
        " and the cache has another revision only (the.key)"
    )
    assert files == (
        f"model someone/encoder at revision {OTHER} cannot be fetched: HF_HUB_OFFLINE is set, and the cache does not"
        " have it (the.key)"
    )


@AGAIN
def test_no_connection(cached, tmp_path):
    address, _ = cached
    answers = ask(address, tmp_path, ("commit", "someone/tasks", "main", "dataset"), SPLIT, FILES)
    host = address.removeprefix("http://")
    for answer, what in zip(
        answers, ["dataset someone/tasks at revision main", "dataset someone/tasks (", "model"], strict=True
    ):
        assert answer.startswith(what)
        assert answer.endswith(f" cannot be fetched: no connection to {host}, and the cache does not have it (the.key)")


REFUSED = {
    "someone/gated": ((403, "GatedRepo"), "its owner grants access to it; ask at"),
    "someone/private": ((401, "RepoNotFound"), "has no public repository of this name; correct it, or log in"),
    "someone/forbidden": ((403, "Forbidden"), "it refuses access with this token"),
    "someone/busy": ((429, "TooMany"), "too many requests; wait some minutes"),
    "someone/old": ((404, "RevisionNotFound"), "it has no such revision; expected a commit, a tag or a branch"),
    "someone/down": ((503, "Down"), "answers with status 503; try again later"),
}


def test_refusals(repositories, tmp_path):
    calls = [("commit", name, "main", "model") for name in REFUSED]
    calls += [("fetch_files", name, COMMIT, TOKENIZER) for name in ("someone/gated", "someone/private")]
    with serve(repositories, {name: status for name, (status, _) in REFUSED.items()}) as address:
        answers = ask(address, tmp_path, *calls)
    for answer, (_, name, *_rest) in zip(answers, calls, strict=True):
        assert answer.startswith(f"model {name} at revision ")
        assert REFUSED[name][1] in answer
        assert answer.endswith("(the.key)")


def test_what_a_repository_does_not_have(repositories, tmp_path):
    with serve(repositories) as address:
        split, config, dataset, model = ask(
            address, tmp_path, ("read_split", "someone/tasks", "pairs", "test", COMMIT),
            ("read_split", "someone/tasks", "triples", "train", COMMIT),
            ("read_split", "someone/nothing", "default", "train", COMMIT),
            ("commit", "someone/nothing", "main", "model"),
        )  # fmt: skip
    assert "Unknown split \"test\". Should be one of ['train', 'validation']" in split
    assert "'triples' not found. Available: ['pairs']" in config
    assert "Dataset 'someone/nothing' doesn't exist on the Hub or cannot be accessed" in dataset
    assert "has no public repository of this name" in model


def test_a_folder_of_the_same_name_is_not_read_instead(repositories, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "someone/tasks").mkdir(parents=True)
    (tmp_path / "someone/tasks/train.csv").write_text("sentence1,label\nno,1\n")
    with serve(repositories) as address:
        assert ask(address, tmp_path / "home", SPLIT) == ["40"]
