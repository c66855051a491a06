"""Ranks: a program starts itself again once for each of them with torchrun, and none outlives the program.

Ranks may also be started by torchrun or srun, on one node or on several: rank 0 then does what the launcher would do,
and the others wait for its word.

This module is imported before torch, whose import a mere launcher need not pay for.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import psutil

from gridlaw import cli, gpus

# Of a program that SIGTERM ended, as shells report it.
TERMINATED = 128 + signal.SIGTERM
# What asks ranks to save and end. At SIGTERM srun would kill them, and it passes this on.
SAVE = signal.SIGUSR1
# Host and process of the launcher.
LAUNCHER = "GRIDLAW_LAUNCHER"
# Where rank 0 leaves its word in the ranks' store.
WORD = "gridlaw/begin"
# Ports below the ones that Linux gives to outgoing connections.
PORTS = range(20000, 32768)


def join() -> None:
    """Join the other ranks if this process is one: of `run`, of torchrun, or of srun."""
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    # srun alone tells no process where ranks meet; whoever did can do without torchrun.
    if not is_rank() and tasks != "1" and {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        rank, local = os.environ["SLURM_PROCID"], os.environ["SLURM_LOCALID"]
        os.environ.update(RANK=rank, LOCAL_RANK=local, WORLD_SIZE=tasks)
    if is_rank():
        follow()
        if not is_launched():
            _store()


@contextmanager
def loading() -> Iterator[None]:
    """Within this block modules are imported a fifth faster.

    What they define stays. The garbage collector would look through it again and again while it grows, and whenever
    Trainer asks it to; it is told to leave it alone.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def is_rank() -> bool:
    """Whether the running process is one of the ranks of a program."""
    return "RANK" in os.environ


def is_launched() -> bool:
    """Whether the running process is a rank that `run` has started."""
    return is_rank() and LAUNCHER in os.environ


def rank() -> int:
    """Number of the running rank among those of all nodes; 0 does what is done once."""
    return int(os.environ.get("RANK", 0))


def local_rank() -> int:
    """Number of the running rank on its node; 0 does what is done once a node."""
    return int(os.environ.get("LOCAL_RANK", 0))


def run(ranks: int) -> None:
    """Run the running program on several ranks and wait for them; SIGTERM is passed on to them.

    Raises:
        Failure: there are too few GPUs for them, or they cannot be spread over the nodes of the Slurm job.
        SystemExit: a rank failed.
    """
    nodes = job_nodes()
    if not nodes:
        gpus.take(ranks)
    environment = {**os.environ, LAUNCHER: f"{socket.gethostname()} {os.getpid()}"}
    # A step's variables would keep srun to the nodes of the step that it is called in.
    for name in [name for name in environment if nodes and name.startswith("SLURM_")]:
        if name not in ("SLURM_JOB_ID", "SLURM_CONF"):
            del environment[name]
    terminated = threading.Event()
    with subprocess.Popen(command(ranks, nodes), env=environment) as process:

        def terminate(*_: object) -> None:
            terminated.set()
            process.send_signal(SAVE if nodes else signal.SIGTERM)

        before = signal.signal(signal.SIGTERM, terminate)
        try:
            status = process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
    if status:
        sys.exit(TERMINATED if terminated.is_set() else status)


def command(ranks: int, nodes: list[str]) -> list[str]:
    """The command line that runs the running program on several ranks, with one torchrun on each node.

    Args:
        ranks: in all.
        nodes: addresses of the Slurm job's nodes, of which there are several; none is this machine alone.

    Raises:
        Failure: the ranks cannot be spread equally over the nodes.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    if not nodes:
        return [*torchrun, "--standalone", "--nproc-per-node", str(ranks), *sys.argv]
    if ranks % len(nodes):
        raise cli.Failure(
            f"gpus: {ranks} ranks cannot be spread equally over the job's {len(nodes)} nodes; right would be a multiple"
        )
    number, job = len(nodes), os.environ["SLURM_JOB_ID"]
    # Without --overlap it would wait for the step that it is called in. A node's torchrun may use all of the job's
    # processors there, and none is left alone when another fails.
    srun = f"srun --nodes {number} --ntasks {number} --ntasks-per-node 1 --overlap --cpu-bind none --kill-on-bad-exit"
    # Several launchers of one job must not meet.
    port = PORTS[os.getpid() % len(PORTS)]
    spread = f"--nnodes {number} --nproc-per-node {ranks // number} --signals-to-handle SIGTERM,SIGINT,{SAVE.name}"
    meeting = f"--rdzv-backend c10d --rdzv-endpoint {nodes[0]}:{port} --rdzv-id {job}"
    return [*srun.split(), *torchrun, *spread.split(), *meeting.split(), *sys.argv]


def job_nodes() -> list[str]:
    """Addresses of the nodes of the Slurm job that this process runs in; none where it has one alone, or is none.

    Slurm is asked, because Snakemake's plugin leaves of its variables little more than the job's number.

    Raises:
        Failure: it does not answer.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or os.environ.get("SLURM_JOB_NUM_NODES") == "1" or not shutil.which("squeue"):
        return []
    names = _answer("squeue", "--noheader", "--jobs", job, "--format", "%N").strip()
    lines = _answer("sinfo", "--noheader", "--Node", "--nodes", names, "--format", "%N %o").splitlines()
    # A node of several partitions is listed once for each.
    addresses = list(dict(line.split() for line in lines).values())
    return addresses if len(addresses) > 1 else []


def _answer(*question: str) -> str:
    done = subprocess.run(question, capture_output=True, text=True)
    if done.returncode:
        raise cli.Failure(f"Slurm does not tell the nodes of the job: {' '.join(question)}: {done.stderr.strip()}")
    return done.stdout


def follow() -> None:
    """End this rank at once when its launcher, which holds the lease on what it writes, or its torchrun is gone."""
    host, launcher = os.environ.get(LAUNCHER, " 0").split(" ")
    if host == socket.gethostname():
        _follow(int(launcher))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _follow(os.getppid())


def _follow(leader: int) -> None:
    def wait() -> None:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(leader).wait()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def problem(ranks: int) -> str | None:
    """What is wrong with the number of ranks that were started, if they were, for a run of so many."""
    started = int(os.environ.get("WORLD_SIZE", ranks))
    if started == ranks:
        return None
    return f"gpus: {started} ranks were started for a run of {ranks}; right would be {ranks}"


def tell(begin: bool) -> None:
    """Tell the other ranks to begin, or that there is nothing to do; to be called by rank 0."""
    _store().set(WORD, str(begin))


def told_to_begin() -> bool:
    """Wait for rank 0 to tell this rank to begin, or that there is nothing to do."""
    import torch.distributed as dist

    store = _store()
    try:
        # It may take rank 0 longer than any wait of the store's own: until another writer has ended.
        while not store.check([WORD]):
            time.sleep(0.2)
        return store.get(WORD) == b"True"
    except dist.DistError:
        sys.exit("rank 0 is gone")


@cache
def _store():
    """What all ranks of a program can read and write."""
    import torch.distributed as dist

    return next(dist.rendezvous("env://"))[0]
