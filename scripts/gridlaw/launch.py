"""Ranks: a program starts itself again once for each of them with torchrun, and none outlives the program.

This module is imported before torch, whose import a mere launcher need not pay for.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

# Of a program that SIGTERM ended, as shells report it.
TERMINATED = 128 + signal.SIGTERM
LAUNCHER = "GRIDLAW_LAUNCHER"


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
    """Whether the running process is one of the ranks of a launched program."""
    return "RANK" in os.environ


def rank() -> int:
    """Number of the running rank; 0 does what is done once."""
    return int(os.environ.get("RANK", 0))


def one_gpu() -> None:
    """Keep to one GPU: Trainer would take all it sees. To be called before CUDA starts."""
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def run(ranks: int) -> None:
    """Run the running program on several ranks and wait for them; SIGTERM is passed on to them.

    Raises:
        SystemExit: a rank failed.
    """
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    environment = {**os.environ, LAUNCHER: str(os.getpid())}
    terminated = threading.Event()
    with subprocess.Popen([sys.executable, *torchrun, *sys.argv], env=environment) as process:

        def terminate(*_: object) -> None:
            terminated.set()
            process.terminate()

        before = signal.signal(signal.SIGTERM, terminate)
        try:
            status = process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
    if status:
        sys.exit(TERMINATED if terminated.is_set() else status)


def follow_launcher() -> None:
    """End this rank at once when its launcher is gone: the launcher holds the lease on what the rank writes."""
    if LAUNCHER in os.environ:
        threading.Thread(target=_follow, args=[int(os.environ[LAUNCHER])], daemon=True).start()


def _follow(launcher: int) -> None:
    with suppress(psutil.NoSuchProcess):
        psutil.Process(launcher).wait()
    os._exit(1)
