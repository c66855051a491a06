"""Files are written whole or not at all, and what cannot be read is told from what can."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gridlaw import io

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


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


def test_a_replaced_folder_holds_what_was_written_last(tmp_path):
    folder = tmp_path / "above" / "folder"
    for name in ("old", "new"):
        with io.replaced_folder(folder) as coming:
            (coming / name).write_text(name)
            assert not (folder / name).exists()
        assert [file.name for file in folder.iterdir()] == [name]
    with pytest.raises(OSError), io.replaced_folder(folder) as coming:
        (coming / "half").write_text("")
        raise OSError
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["above", "folder", "new"]


KILLED = """
import os, signal, sys
from pathlib import Path
from gridlaw import io

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

with io.replaced_folder(sys.argv[1]) as coming:
    (coming / "new").write_text("")
    if sys.argv[2] == "filled":
        die()
    rename, Path.count = Path.rename, 0
    def counted(path, to):
        if Path.count == int(sys.argv[2]):
            die()
        Path.count += 1
        return rename(path, to)
    Path.rename = counted
"""


@pytest.mark.parametrize(("moment", "left"), [("filled", ["old"]), ("0", ["old"]), ("1", None)])
def test_a_killed_replacement_leaves_no_mixture(tmp_path, moment, left):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, folder, moment], env={**os.environ, "PYTHONPATH": str(SCRIPTS)}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert ([file.name for file in folder.iterdir()] if folder.exists() else None) == left
    with io.replaced_folder(folder) as coming:
        (coming / "newer").write_text("")
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["folder", "newer"]
