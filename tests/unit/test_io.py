"""Files are written whole or not at all, and what cannot be read is told from what can."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from gridlaw import io


def kill_while_writing(file):
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    Path.replace = die
    io.write_json(file, {"new": True})


def test_a_kill_leaves_the_file_as_it_was(tmp_path):
    file = tmp_path / "deep/record.json"
    io.write_json(file, {"new": False})
    process = multiprocessing.get_context("fork").Process(target=kill_while_writing, args=[file])
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert io.read_json(file) == {"new": False}
    io.write_json(file, {"new": "é"})
    assert file.read_text() == '{\n  "new": "é"\n}\n'


def test_bytes_are_written_as_they_are(tmp_path):
    io.write_atomically(tmp_path / "page", b"\xff\r\n")
    assert (tmp_path / "page").read_bytes() == b"\xff\r\n"
    assert [file.name for file in tmp_path.iterdir()] == ["page"], "the partial file is gone"


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"[1]", b"\xff\xfe"])
def test_what_is_no_json_object_is_not_found(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert io.find_json(tmp_path / "file") is None


def test_missing_files(tmp_path):
    missing = tmp_path / "missing"
    assert (io.find_json(missing), io.digest(missing), io.read_tail(missing, 8)) == (None, None, "")
    with pytest.raises(FileNotFoundError):
        io.read_json(missing)


def test_the_tail_of_a_log(tmp_path):
    (tmp_path / "log").write_bytes("first\nélast\n".encode())
    assert io.read_tail(tmp_path / "log", 100) == "first\nélast\n"
    assert io.read_tail(tmp_path / "log", 5) == "last\n"
    assert io.read_tail(tmp_path / "log", 6) == "\N{REPLACEMENT CHARACTER}last\n", "a cut character is marked"
