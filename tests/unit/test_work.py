"""One writer at a time in a work folder, and a dead one does not block for long."""

import json
import socket
import subprocess
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path

import pytest

from gridlaw import cli
from gridlaw.runtime import gpus, launch, work
from gridlaw.workflow import record, work_folder

HOLD = """
import sys, time
sys.path.insert(0, {scripts!r})
sys.argv = [{scripts!r} + "/trunk.py"]
from argparse import Namespace
from gridlaw.runtime import work
from gridlaw.workflow import work_folder
work_folder.LEASE_SECONDS = {seconds}
args = Namespace(recipe={{"attention": "auto"}}, inputs=[], plugins=(), extendable=(), work={folder!r}, record={folder!r} + ".json")
work.attempt(args, 1, lambda *_: print("held", flush=True) or time.sleep(60))
"""
SCRIPTS = str(Path(work.__file__).resolve().parents[2])


@pytest.fixture
def args(tmp_path, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr(sys, "argv", [f"{SCRIPTS}/trunk.py"])
    return Namespace(
        recipe={"attention": "auto", "a": 1}, inputs=[], plugins=(), extendable=(), outputs=[str(tmp_path / "out")],
        work=str(tmp_path / "run"), record=str(tmp_path / "record.json"),
    )  # fmt: skip


@pytest.fixture
def holder(args, monkeypatch):
    """Starts a process that holds the work folder under a lease of some seconds."""
    processes = []

    def start(seconds):
        monkeypatch.setattr(work_folder, "LEASE_SECONDS", seconds)
        code = HOLD.format(scripts=SCRIPTS, folder=args.work, seconds=seconds)
        processes.append(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True))
        assert processes[-1].stdout.readline() == "held\n"
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def attempt(args, **changes):
    done = []
    work.attempt(Namespace(**(vars(args) | changes)), 1, lambda *_: done.append(time.monotonic()))
    return done


WAITS = "another process is writing there"


def test_a_dead_writer_of_this_host_does_not_block(args, holder, capfd):
    process = holder(60.0)
    process.kill()
    process.wait()
    assert attempt(args)
    assert WAITS not in capfd.readouterr().err


def test_a_dead_writer_of_another_host_blocks_until_it_was_silent_for_long(args, holder, capfd):
    process = holder(0.6)
    process.kill()
    process.wait()
    lease = Path(f"{args.work}.lease")
    lease.write_bytes(lease.read_bytes().replace(socket.gethostname().encode(), b"elsewhere"))
    started = time.monotonic()
    (began,) = attempt(args)
    assert began - started >= 0.6
    assert WAITS in capfd.readouterr().err


def test_a_live_writer_is_waited_for(args, holder, capfd):
    process, ended = holder(2.0), []

    def end():
        ended.append(time.monotonic())
        process.terminate()

    # Longer than a silent lease lives: the holder's heartbeat keeps it.
    threading.Timer(2.5, end).start()
    (began,) = attempt(args)
    assert began >= ended[0]
    assert WAITS in capfd.readouterr().err


def test_attempts_are_told_with_their_causes(args):
    for error in (SystemExit(launch.TERMINATED), ValueError("no")):

        def body(*_, error=error):
            raise error

        with pytest.raises(type(error)):
            work.attempt(args, 1, body)
    told = []
    work.attempt(args, 1, lambda *_: told.extend(work.history(args.work)["attempts"]))
    assert [attempt["cause"] for attempt in told] == ["SIGTERM", "ValueError: no", "finished"]
    assert all(attempt["ended"] >= attempt["started"] for attempt in told)
    assert not Path(args.work).exists(), "a finished run leaves nothing"


def test_a_line_that_a_full_disk_cut_off_is_no_attempt(args):
    Path(args.work).mkdir()
    work._append(Path(args.work), {"started": "1"})
    with open(Path(args.work, work_folder.ATTEMPTS), "a") as stream:
        stream.write('{"started": "cut o')
    assert [attempt["started"] for attempt in work.history(args.work)["attempts"]] == ["1"]


def test_another_recipe_drops_what_is_there(args, capfd):
    def body(*_):
        Path(args.work, "kept").write_text("")

    work.attempt(args, 1, body)
    assert Path(args.work, "kept").exists()
    attempt(args, recipe={"attention": "auto", "a": 2})
    assert not Path(args.work, "kept").exists()
    assert capfd.readouterr().err == f"{args.work}: deleted the files of an earlier attempt: a 1 → 2\n"


def held(args, **changes):
    """Leave a file in the work folder, and change what `basis.json` says of it."""
    work.attempt(args, 1, lambda *_: Path(args.work, "kept").write_text(""))
    work_folder.write_basis(args.work, work_folder.read_basis(args.work) | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": {"attention": "auto", "a": {"b": 1}, "c": 1}}, 'a {"b": 1} → 1; c 1 → unset'),
        ({"code": "0" * 16, "definitions": {}}, "the program changed, or what it imports"),
        ({"inputs": {"slice.json": "0" * 64}}, "inputs: slice.json"),
        ({"libraries": {"torch": "1.0", "transformers": "?"}}, "torch 1.0 → "),
        ({"libraries": {}}, "torch unknown → "),
    ],
)
def test_files_of_another_basis_are_deleted_with_the_reason(args, capfd, changes, words):
    held(args, **changes)
    assert attempt(args)
    assert not Path(args.work).exists()
    assert words in capfd.readouterr().err


def test_many_differences_are_counted(args, capfd):
    held(args, recipe={"attention": "auto", **dict.fromkeys("bcdefghi", 1)})
    attempt(args)
    assert "; and 3 more\n" in capfd.readouterr().err


def test_files_of_the_basis_that_was_accepted_last_stay(args):
    held(args, recipe={"attention": "auto", "a": 0}, fingerprint="sealed")
    facts = work_folder.read_basis(args.work)
    other = [{"note": "?", "basis": {"recipe": {"attention": "auto", "a": 3}}}]
    ours = [{"note": "fine", "basis": {"recipe": args.recipe}}]
    work_folder.write_basis(args.work, facts | {"accepted": other + ours})
    sealed_with = []
    work.attempt(args, 1, lambda _, fingerprint: sealed_with.append(fingerprint))
    assert sealed_with == ["sealed"]
    assert Path(args.work, "kept").exists()
    work_folder.write_basis(args.work, facts | {"accepted": ours + other})
    attempt(args)
    assert not Path(args.work, "kept").exists()


def test_a_work_folder_of_an_earlier_version_is_deleted(args, capfd):
    held(args)
    Path(args.work, work_folder.BASIS).rename(Path(args.work, work_folder.FINGERPRINT))
    attempt(args)
    assert not Path(args.work).exists()
    assert "earlier attempt: they are of an earlier version of gridlaw\n" in capfd.readouterr().err


def test_what_a_killed_deletion_left_is_deleted(args):
    """Its finished runs would otherwise be taken for those of another recipe."""
    held(args)
    Path(args.work, work_folder.BASIS).unlink()
    attempt(args)
    assert not Path(args.work).exists()


def test_a_copied_grid_resumes(args, tmp_path):
    """The paths of the inputs differ, their content does not."""
    (tmp_path / "slice.json").write_text("rows")
    args.inputs = [str(tmp_path / "slice.json")]
    held(args)
    (tmp_path / "slice.json").rename(tmp_path / "other.json")
    attempt(args, inputs=[str(tmp_path / "other.json")])
    assert Path(args.work, "kept").exists()


def test_what_was_accepted_is_in_the_history(args):
    held(args, accepted=[{"note": "fine", "basis": {}}])
    histories = []
    work.attempt(args, 1, lambda *_: histories.append(work.history(args.work)))
    assert record.marks(histories[0]) == ["accepted: fine"]
    assert histories[0]["attempts"][-1]["cause"] == "finished"


def test_growing_lists_drop_nothing(args):
    def body(*_):
        Path(args.work, "kept").write_text("")

    args.extendable = ("seeds",)
    work.attempt(args, 1, body)
    args.recipe = args.recipe | {"seeds": [1, 2]}
    work.attempt(args, 1, lambda *_: None)
    assert Path(args.work, "kept").exists()


def test_a_finished_run_is_not_repeated(args, tmp_path):
    (tmp_path / "out").write_text("x")
    work.attempt(args, 1, lambda *_: record.write(args))
    assert json.loads(Path(args.record).read_text())["fingerprint"] == record.fingerprint(record.current_basis(args))
    assert not attempt(args)
    (tmp_path / "out").write_text("y")
    assert attempt(args), "its output was changed"


@pytest.mark.parametrize(
    ("package", "lacks"), [(None, "the package flash-attn, which is not installed"), ("json", "an NVIDIA GPU")]
)
def test_what_the_machine_lacks_is_said_at_once(args, monkeypatch, package, lacks):
    monkeypatch.setattr(gpus, "find_spec", lambda name: package)
    monkeypatch.setattr(gpus, "visible", dict)
    with pytest.raises(cli.Failure, match=f"attention: flash_attention_2 needs {lacks}.*; use auto"):
        attempt(args, recipe={"attention": "flash_attention_2"})
    assert not Path(args.work).exists()
    monkeypatch.setattr(gpus, "find_spec", lambda name: name)
    monkeypatch.setattr(gpus, "visible", lambda: {"GPU-a": "0"})
    assert gpus.problem("flash_attention_2") is None
