"""Ranks: a program starts one process for each of them with torchrun, and none outlives the program.

The user may also start the ranks with torchrun or srun, on one node or on several. Rank 0 then does the work of the
launcher, and the other ranks wait for it.

This module does not import torch, because a launcher does not need it.
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

from gridlaw import cli
from gridlaw.runtime import gpus

# Exit status of a process ended by SIGTERM, as a shell reports it.
TERMINATED = 128 + signal.SIGTERM
# Signal that makes ranks save and end. srun forwards it; at SIGTERM it would kill them.
SAVE = signal.SIGUSR1
# Environment variable with the host and process number of the launcher.
LAUNCHER = "GRIDLAW_LAUNCHER"
# Key in the ranks' shared store, whose value says whether to begin.
START_KEY = "gridlaw/begin"
# Ports below those that Linux uses for outgoing connections.
PORTS = range(20000, 32768)


def join() -> None:
    """Join the other ranks, if this process is a rank that `run`, torchrun or srun started."""
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    # srun sets no rendezvous address; if the user set MASTER_ADDR and MASTER_PORT, torchrun is not needed.
    if not is_rank() and tasks != "1" and {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        rank, local = os.environ["SLURM_PROCID"], os.environ["SLURM_LOCALID"]
        os.environ.update(RANK=rank, LOCAL_RANK=local, WORLD_SIZE=tasks)
    if is_rank():
        end_with_launcher()
        if not is_launched():
            _store()


@contextmanager
def loading() -> Iterator[None]:
    """Import modules faster, by a fifth, within the block.

    Imported definitions are never garbage, but the collector would scan them again and again, during the imports and
    whenever Trainer runs it. They are excluded from collection.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def is_rank() -> bool:
    """Return whether this process is one of the ranks of a program."""
    return "RANK" in os.environ


def is_launched() -> bool:
    """Return whether this process is a rank that `run` started."""
    return is_rank() and LAUNCHER in os.environ


def rank() -> int:
    """Return the number of this rank among all nodes; rank 0 does what is done once."""
    return int(os.environ.get("RANK", 0))


def local_rank() -> int:
    """Return the number of this rank on its node; rank 0 does what is done once a node."""
    return int(os.environ.get("LOCAL_RANK", 0))


def run(ranks: int) -> None:
    """Run this program on several ranks and wait for them; forward SIGTERM to them.

    Raises:
        Failure: there are too few GPUs, or the ranks cannot be spread equally over the nodes of the Slurm job.
        SystemExit: a rank failed.
    """
    nodes = job_nodes()
    if not nodes:
        gpus.take(ranks)
    environment = {**os.environ, LAUNCHER: f"{socket.gethostname()} {os.getpid()}"}
    # The variables of the current job step would restrict srun to the nodes of that step.
    for name in [name for name in environment if nodes and name.startswith("SLURM_")]:
        if name not in ("SLURM_JOB_ID", "SLURM_CONF"):
            del environment[name]
    terminated = threading.Event()
    with subprocess.Popen(command(ranks, nodes), env=environment) as process:

        def terminate(*_: object) -> None:
            terminated.set()
            process.send_signal(SAVE if nodes else signal.SIGTERM)

        handler = signal.signal(signal.SIGTERM, terminate)
        try:
            status = process.wait()
        finally:
            signal.signal(signal.SIGTERM, handler)
    if status:
        sys.exit(TERMINATED if terminated.is_set() else status)


def command(ranks: int, nodes: list[str]) -> list[str]:
    """Return the command line that runs this program on several ranks, with one torchrun on each node.

    Args:
        ranks: total number of ranks.
        nodes: addresses of the Slurm job's nodes if there are several; empty for this machine alone.

    Raises:
        Failure: the ranks cannot be spread equally over the nodes.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    if not nodes:
        return [*torchrun, "--standalone", "--nproc-per-node", str(ranks), *sys.argv]
    if ranks % len(nodes):
        raise cli.Failure(
            f"gpus: {ranks} ranks cannot be spread equally over the job's nodes; use a multiple of {len(nodes)}"
        )
    number, job = len(nodes), os.environ["SLURM_JOB_ID"]
    # --overlap: otherwise srun would wait for the step that it is called in. --cpu-bind none: each torchrun may use all
    # of the job's processors on its node. --kill-on-bad-exit: if one torchrun fails, the others end too.
    srun = f"srun --nodes {number} --ntasks {number} --ntasks-per-node 1 --overlap --cpu-bind none --kill-on-bad-exit"
    # Two launchers in one job must not use the same port.
    port = PORTS[os.getpid() % len(PORTS)]
    placement = f"--nnodes {number} --nproc-per-node {ranks // number} --signals-to-handle SIGTERM,SIGINT,{SAVE.name}"
    rendezvous = f"--rdzv-backend c10d --rdzv-endpoint {nodes[0]}:{port} --rdzv-id {job}"
    return [*srun.split(), *torchrun, *placement.split(), *rendezvous.split(), *sys.argv]


def job_nodes() -> list[str]:
    """Return the addresses of the nodes of this Slurm job; empty outside of Slurm, and for a job on a single node.

    Slurm is asked for them, because Snakemake's plugin removes most of Slurm's environment variables.

    Raises:
        Failure: Slurm does not answer.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or os.environ.get("SLURM_JOB_NUM_NODES") == "1" or not shutil.which("squeue"):
        return []
    names = _run("squeue", "--noheader", "--jobs", job, "--format", "%N").strip()
    lines = _run("sinfo", "--noheader", "--Node", "--nodes", names, "--format", "%N %o").splitlines()
    # sinfo lists a node once for each of its partitions.
    addresses = list(dict(line.split() for line in lines).values())
    return addresses if len(addresses) > 1 else []


def _run(*command: str) -> str:
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise cli.Failure(f"Slurm does not list the nodes of the job: {' '.join(command)}: {process.stderr.strip()}")
    return process.stdout


def end_with_launcher() -> None:
    """End this rank at once when its torchrun ends, or its launcher, which holds the lease on the work folder."""
    host, launcher = os.environ.get(LAUNCHER, " 0").split(" ")
    if host == socket.gethostname():
        _end_with(int(launcher))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _end_with(os.getppid())


def _end_with(process: int) -> None:
    def wait() -> None:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(process).wait()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def problem(ranks: int) -> str | None:
    """Return what is wrong with the number of ranks that were started; None if it fits the run."""
    started = int(os.environ.get("WORLD_SIZE", ranks))
    if started == ranks:
        return None
    return f"gpus: {started} ranks were started; expected {ranks}, as in the recipe"


def announce_start(begin: bool) -> None:
    """Let the other ranks begin, or end because there is nothing to do; only rank 0 calls this."""
    _store().set(START_KEY, str(begin))


def wait_for_start() -> bool:
    """Wait for rank 0, and return whether this rank is to begin."""
    import torch.distributed as dist

    store = _store()
    try:
        # The store's own waiting has a timeout, but rank 0 may wait for another writer as long as that takes.
        while not store.check([START_KEY]):
            time.sleep(0.2)
        return store.get(START_KEY) == b"True"
    except dist.DistError:
        sys.exit("rank 0 has ended")


@cache
def _store():
    """Return the store that all ranks of a program share."""
    import torch.distributed as dist

    return next(dist.rendezvous("env://"))[0]
