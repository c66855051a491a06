"""Messages about failed jobs of Slurm."""

from types import SimpleNamespace

import pytest
from conftest import configuration

from gridlaw.config import site
from gridlaw.hooks import demands, slurm

TORCHRUN = """\
W1124 20:47:14.588000 18873 torch/distributed/elastic/multiprocessing/api.py:1028] Sending process 18879 SIGTERM
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
Failures:
  traceback : Signal 15 (SIGTERM) received by PID 18879
Root Cause (first observed failure):
  traceback : {}
============================================================
"""


@pytest.mark.parametrize(
    ("state", "log", "why"),
    [
        ("FAILED", "loading\nerror: gpus: 3 is wrong\n", "error: gpus: 3 is wrong"),
        ("FAILED", "error: gpus: 3 is wrong\n" + TORCHRUN.format("To enable traceback see"), "error: gpus: 3 is wrong"),
        ("FAILED", "ValueError: a shape\n" + TORCHRUN.format("To enable traceback see"), "error: ValueError: a shape"),
        ("FAILED", TORCHRUN.format("Signal 9 (SIGKILL) received by PID 7"), "error: Signal 9 (SIGKILL) received by PID 7"),
        ("FAILED", "something else\n", "error: something else"),
        ("FAILED", "", "error: see the log"),
        ("FAILED", "slurmstepd: error: Detected 1 oom-kill event(s)\n", slurm.STATES["OUT_OF_MEMORY"]),
        ("FAILED", "OSError: [Errno 28] No space left on device\n", "disk: no space is left"),
        ("TIMEOUT", "", slurm.STATES["TIMEOUT"]),
        ("CANCELLED", "", slurm.STATES["CANCELLED"]),
    ],
)  # fmt: skip
def test_why(tmp_path, state, log, why):
    (tmp_path / "log").write_text(log)
    assert failed(tmp_path, state).cause() == why


# What ranks of several nodes print when the node that they met on is gone.
LOST = (
    "Exception raised from recvBytes at Utils.hpp:787 (most recent call first):\n" + 200 * "frame #1: python() [0x1]\n"
)


@pytest.mark.parametrize("after", ["", 4 * LOST])
@pytest.mark.parametrize(
    ("accounting", "why"),
    [(b"3480|60\n", "time"), (b"600|60\n", "preempted"), (b"\n", "time or preemption"), (None, "time or preemption")],
)
def test_told_to_save(tmp_path, monkeypatch, accounting, why, after):
    def run(*_, **__):
        if accounting is None:
            raise FileNotFoundError
        return SimpleNamespace(stdout=accounting)

    monkeypatch.setattr(slurm.subprocess, "run", run)
    (tmp_path / "log").write_text("error: SIGTERM after optimizer step 7\n" + after)
    assert failed(tmp_path, "FAILED").cause() == f"{why}: it was told to save, and did"


def test_ended_before_its_program_began(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "logs/slurm/rule_pretrain/7.log"
    log.parent.mkdir(parents=True)
    one = failed(tmp_path, "FAILED")
    log.write_text("bash: line 1: /home/me/.venv/bin/python: No such file or directory\n")
    assert one.cause() == "error: bash: line 1: /home/me/.venv/bin/python: No such file or directory"
    log.write_text('NameError in file "Snakefile", line 2:\nsrun: error: n1: task 0: Exited with exit code 1\n')
    assert one.cause() == 'error: NameError in file "Snakefile", line 2:'


def test_refused(tmp_path):
    message = "SLURM sbatch failed. The error message was 'sbatch: error: Invalid account'.\n"
    assert failed(tmp_path, None, number=None, message=message).cause() == "refused: sbatch: error: Invalid account"


@pytest.mark.parametrize(
    ("gpus", "gpus_per_node", "asked"),
    [
        (2, None, {"nodes": 1, "gpu": 2, "gres": None, "mpi": None, "tasks_per_node": None}),
        (16, 8, {"nodes": 2, "gpu": None, "gres": "gpu:8", "mpi": "srun", "tasks_per_node": 8}),
    ],
)
def test_ranks_share_as_few_nodes_as_they_can(tmp_path, gpus, gpus_per_node, asked):
    (tmp_path / "site.yaml").write_text("{}")
    whole = configuration({"gpus_per_node": gpus_per_node})
    found = demands.Demands(whole, site.read(tmp_path / "site.yaml"), plans=False).request("pretrain")
    job = SimpleNamespace(model="tiny", size="1M", gpus=str(gpus), seed="1")
    assert {name: found[name](job) for name in asked} == asked


@pytest.mark.parametrize("key", ["max_minutes", "cpus_per_gpu"])
def test_an_infinity_in_a_site_is_one_line(tmp_path, key):
    (tmp_path / "site.yaml").write_text(f"gpu: {{{key}: .nan}}")
    with pytest.raises(ValueError, match=f"^site: gpu.{key}: .nan is not a number; expected a finite number"):
        site.read(tmp_path / "site.yaml")


def failed(folder, state, number="7", message="failed"):
    job = SimpleNamespace(log=[str(folder / "log")])
    return slurm.Failed(job, number, attempt=1, state=state, message=message, save_seconds=120)
