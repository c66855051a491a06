"""Programs that run side by side share no GPU, whatever they see of the machine and however they end."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gridlaw import cli
from gridlaw.runtime import gpus

SCRIPTS = Path(gpus.__file__).resolve().parents[2]
UUIDS = ["GPU-a0", "GPU-b1", "GPU-c2", "GPU-d3"]

# A program on a machine of four GPUs.
PROGRAM = f"""
import os, sys, time
from pathlib import Path
sys.path.insert(0, {str(SCRIPTS)!r})
from gridlaw import cli
from gridlaw.runtime import gpus, launch
gpus.uuids, gpus._pytorch_has_cuda = lambda: {UUIDS!r}, lambda: True
gpus.LOCKS, gpus.POLL_SECONDS = Path(sys.argv.pop(1)), 0.05
"""
TAKE = (
    PROGRAM
    + """
def take():
    gpus.take(int(sys.argv[1]))
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.readline()

cli.run(take)
"""
)


class Nvml:
    """NVML of a machine with four GPUs."""

    class NVMLError(Exception):
        pass

    def nvmlInit(self):  # noqa: N802
        pass

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(UUIDS)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return UUIDS[handle]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    fake = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(gpus, "_pytorch_has_cuda", lambda: True)
    monkeypatch.setattr(gpus, "_held", [])
    monkeypatch.setattr(gpus, "LOCKS", tmp_path / "locks")
    # Set first, so that what a test leaves there is undone.
    monkeypatch.setenv(gpus.VISIBLE, "")
    monkeypatch.delenv(gpus.VISIBLE)
    fake.monkeypatch = monkeypatch
    return fake


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        (None, {"GPU-a0": "0", "GPU-b1": "1", "GPU-c2": "2", "GPU-d3": "3"}),
        ("2, 0", {"GPU-c2": "2", "GPU-a0": "0"}),
        ("GPU-d,1", {"GPU-d3": "GPU-d", "GPU-b1": "1"}),
        ("1,GPU-b1", {"GPU-b1": "1"}),
        ("0,4,1", {"GPU-a0": "0"}),
        ("MIG-5,MIG-GPU-a0/1/0", {"MIG-5": "MIG-5", "MIG-GPU-a0/1/0": "MIG-GPU-a0/1/0"}),
        ("", {}),
        ("-1", {}),
        ("NoDevFiles", {}),
        ("GPU-e", {}),
    ],
)
def test_what_cuda_would_show(machine, names, seen):
    if names is not None:
        machine.monkeypatch.setenv(gpus.VISIBLE, names)
    assert list(gpus.visible().items()) == list(seen.items())


def test_no_gpu_for_a_pytorch_without_cuda(machine):
    machine.monkeypatch.setattr(gpus, "_pytorch_has_cuda", lambda: False)
    assert gpus.visible() == {}


@pytest.mark.parametrize(("before", "after"), [(None, "0,1"), ("3,2,1", "3,2"), ("", "")])
def test_without_nvml_the_first_ones_are_kept_to(machine, before, after):
    def missing():
        raise machine.NVMLError

    machine.nvmlInit = missing
    if before is not None:
        machine.monkeypatch.setenv(gpus.VISIBLE, before)
    gpus.take(2)
    assert os.environ[gpus.VISIBLE] == after
    assert not gpus.LOCKS.exists()


def test_more_than_the_machine_has(machine):
    machine.monkeypatch.setenv(gpus.VISIBLE, "1,2,3")
    with pytest.raises(cli.Failure, match="gpus: 4 ranks need 4 GPUs, and 3 can be seen here"):
        gpus.take(4)
    assert not gpus.LOCKS.exists()


class Job:
    """A program that takes GPUs and holds them until it is told to end."""

    def __init__(self, locks, count, visible=None):
        environment = {name: value for name, value in os.environ.items() if name != gpus.VISIBLE}
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE, locks, str(count)],
            env=environment | ({} if visible is None else {gpus.VISIBLE: visible}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # A test that waits in vain is to fail.
        self.alarm = threading.Timer(60, self.process.kill)
        self.alarm.start()

    def taken(self) -> list[str]:
        return self.process.stdout.readline().strip().split(",")

    def waits(self) -> str:
        """Its word that it does."""
        return self.process.stderr.readline().strip()

    def end(self):
        return self.process.communicate("\n")


@pytest.fixture
def job(tmp_path):
    jobs = []

    def start(count, visible=None):
        jobs.append(Job(tmp_path, count, visible))
        return jobs[-1]

    yield start
    for one in jobs:
        one.alarm.cancel()
        one.process.kill()
        one.process.wait()


def test_jobs_side_by_side_share_none(job):
    jobs = [job(count) for count in (1, 2, 1)]
    assert sorted(name for one in jobs for name in one.taken()) == ["0", "1", "2", "3"]


def test_lists_that_name_the_same_gpus_otherwise(job):
    first, second = job(1, "0,1"), job(1, "GPU-a,GPU-b")
    taken = {*first.taken(), *second.taken()}
    assert taken in ({"0", "GPU-b"}, {"1", "GPU-a"})
    third = job(1, "1,0")
    assert third.waits() == "waiting for 1 of 2 GPUs to be free"
    first.end()
    assert set(third.taken()) == taken & {"0", "1"}


def test_a_killed_holder_frees_its_gpus(job):
    holder, other = job(3), job(1)
    held = holder.taken()
    other.taken()
    waiting = job(2)
    assert waiting.waits() == "waiting for 2 of 4 GPUs to be free"
    assert waiting.process.poll() is None
    holder.process.send_signal(signal.SIGKILL)
    assert set(waiting.taken()) < set(held)


def test_too_few_are_left_to_others(job):
    holder = job(2)
    holder.taken()
    large = job(3)
    assert large.waits()
    # What is free and not enough for one is not kept from another.
    small = job(2)
    assert len(small.taken()) == 2
    small.end()
    holder.end()
    assert len(large.taken()) == 3


def test_a_job_that_no_machine_would_do_for(job):
    said = job(5).end()[1]
    assert said.startswith("error: gpus: 5 ranks need 5 GPUs, and 4 can be seen here; use at most 4 ranks")
    assert len(said.splitlines()) == 1


def test_many_jobs_at_once(tmp_path):
    log = tmp_path / "log"
    code = PROGRAM + (
        "gpus.take(2)\n"
        "names = os.environ['CUDA_VISIBLE_DEVICES'].split(',')\n"
        "file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
        "for word in ('takes', 'ends'):\n"
        "    for name in names: os.write(file, f'{word} {name}\\n'.encode())\n"
        "    time.sleep(0.1)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != gpus.VISIBLE}
    command = [sys.executable, "-c", code, tmp_path / "locks", log]
    jobs = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(8)]
    assert [one.wait(60) for one in jobs] == [0] * 8
    used = set()
    for line in log.read_text().splitlines():
        word, name = line.split()
        assert (name in used) == (word == "ends"), log.read_text()
        used ^= {name}
    assert log.read_text().count("takes") == 16


def test_ranks_see_what_their_launcher_took(tmp_path, job):
    other = job(1)
    held = other.taken()
    program = tmp_path / "program.py"
    program.write_text(
        # In one piece: the ranks share the pipe.
        "import os, time\nos.write(1, os.environ['CUDA_VISIBLE_DEVICES'].encode() + b'\\n')\n"
        "from gridlaw.runtime import launch\nlaunch.join()\ntime.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    environment.pop(gpus.VISIBLE, None)
    launcher = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + f"sys.argv = [{str(program)!r}]\nlaunch.run(2)", tmp_path],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = [launcher.stdout.readline().strip() for _ in range(2)]
    assert seen[0] == seen[1]
    assert len({*seen[0].split(","), *held}) == 3
    waiting = job(2)
    assert waiting.waits()
    launcher.kill()
    assert launcher.wait() == -signal.SIGKILL
    assert sorted(waiting.taken()) == sorted(seen[0].split(","))
    # Its ranks end with it, long before they would: none holds the pipe open.
    launcher.communicate(timeout=60)
