"""How programs end: a mistake, or a fault of the machine, is one line; anything else keeps its traceback."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from gridlaw import cli

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def ending(error):
    """The message that a program ends with which raises an error."""

    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        cli.run(main)
    return end.value.code


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "x"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        # What safetensors, NumPy and PyTorch say.
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError("Not enough free space to write 24000000 bytes after offset 0"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
        caused(RuntimeError("generation failed"), OSError(errno.ENOSPC, "No space left on device")),
    ],
)
def test_a_full_disk_is_one_line_that_says_where_there_is_space(error):
    line = ending(error)
    assert line.startswith("error: ")
    assert "No space left on device" in line or "quota" in line
    assert "free some space (this folder has " in line
    assert "TMPDIR has " in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/home/a/.cache"), "HF_HOME"),
        (OSError(errno.EROFS, "Read-only file system", "/home/a/.cache"), "HF_HOME"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "TMPDIR"),
    ],
)
def test_a_folder_that_cannot_be_written_is_one_line(error, expected):
    line = ending(error)
    assert str(error) in line
    assert expected in line


def test_a_mistake_is_one_line():
    assert ending(cli.Failure("sizes: 3 is wrong")) == "error: sizes: 3 is wrong"


def test_other_errors_keep_their_traceback():
    def main():
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="a fault of ours"):
        cli.run(main)


BARS = """
import sys
if {early}:
    import datasets, huggingface_hub, transformers
from gridlaw import cli
def main():
    import datasets, huggingface_hub.utils
    from transformers.utils import logging
    for _ in [*logging.tqdm(range(2)), *datasets.utils.tqdm(range(2)), *huggingface_hub.utils.tqdm(range(2))]:
        pass
    print("end", file=sys.stderr)
cli.run(main)
"""


@pytest.mark.parametrize("early", [True, False])
def test_progress_bars_of_libraries_stay_out_of_logs(early):
    code = BARS.format(early=early)
    log = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=True, capture_output=True, text=True).stderr
    assert "end\n" in log
    assert "%|" not in log
    assert "it/s" not in log
