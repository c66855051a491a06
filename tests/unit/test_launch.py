"""Ranks are spread over the nodes of a Slurm job, with one torchrun on each."""

import os
import sys

import pytest

from gridlaw import cli
from gridlaw.runtime import launch


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A job of three nodes, one of them in two partitions, as Slurm's programs tell of it."""
    answers = {
        "squeue": ("--noheader --jobs 77 --format %N", "n[1-3]"),
        "sinfo": (
            "--noheader --Node --nodes n[1-3] --format %N %o",
            "n1 10.0.0.1\nn1 10.0.0.1\nn2 10.0.0.2\nn3 10.0.0.3",
        ),
    }
    for program, (question, answer) in answers.items():
        file = tmp_path / program
        file.write_text(f'#!/bin/sh\n[ "$*" = "{question}" ] || exit 1\nprintf "{answer}\\n"\n')
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setattr(sys, "argv", ["scripts/pretrain.py", "--work", "a b"])
    return monkeypatch


def test_nodes_of_a_job(slurm):
    assert launch.job_nodes() == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    slurm.setenv("SLURM_JOB_NUM_NODES", "1")
    assert launch.job_nodes() == []
    slurm.delenv("SLURM_JOB_ID")
    assert launch.job_nodes() == []


def test_no_program_of_slurm_to_ask(slurm, tmp_path):
    (tmp_path / "squeue").unlink()
    slurm.setenv("PATH", str(tmp_path))
    assert launch.job_nodes() == []


def test_a_job_that_slurm_does_not_know(slurm):
    slurm.setenv("SLURM_JOB_ID", "78")
    with pytest.raises(cli.Failure, match="Slurm does not list the nodes of the job: squeue --noheader --jobs 78"):
        launch.job_nodes()


def test_command_on_one_machine(slurm):
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    expected = [*torchrun, "--standalone", "--nproc-per-node", "3", "scripts/pretrain.py", "--work", "a b"]
    assert launch.command(3, []) == expected


def test_command_on_several_nodes(slurm):
    slurm.setattr(os, "getpid", lambda: 12768 * 3 + 5)
    srun = "srun --nodes 3 --ntasks 3 --ntasks-per-node 1 --overlap --cpu-bind none --kill-on-bad-exit"
    torchrun = "-m torch.distributed.run --nnodes 3 --nproc-per-node 2 --signals-to-handle SIGTERM,SIGINT,SIGUSR1"
    meeting = "--rdzv-backend c10d --rdzv-endpoint 10.0.0.1:20005 --rdzv-id 77"
    expected = [
        *srun.split(),
        sys.executable,
        *torchrun.split(),
        *meeting.split(),
        "scripts/pretrain.py",
        "--work",
        "a b",
    ]
    assert launch.command(6, launch.job_nodes()) == expected


def test_ranks_that_no_node_would_have_an_equal_share_of(slurm):
    with pytest.raises(
        cli.Failure, match="gpus: 4 ranks cannot be spread equally over the job's nodes; use a multiple of 3"
    ):
        launch.command(4, launch.job_nodes())


def test_ranks_that_srun_has_started(monkeypatch):
    monkeypatch.setattr(launch, "end_with_launcher", lambda: None)
    for name, value in {
        "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "MASTER_ADDR": "n1", "MASTER_PORT": "2000",
        launch.LAUNCHER: "n1 5",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        # Set first, so that what `join` sets is unset at the end.
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)
    launch.join()
    assert (launch.rank(), launch.local_rank(), os.environ["WORLD_SIZE"]) == (3, 1, "4")
