"""GPUs of this machine: each program takes free ones, so that two programs never share a GPU by accident.

Snakemake counts GPUs but does not assign them. A program therefore locks each GPU that it takes until its process ends;
the kernel releases the lock, however the process ends. A lock belongs to the card, not to its number, because programs
may see different sets of GPUs (CUDA_VISIBLE_DEVICES, Slurm jobs).

This module does not import torch.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from gridlaw import cli

if TYPE_CHECKING:
    from filelock import FileLock

VISIBLE = "CUDA_VISIBLE_DEVICES"
# Not in TMPDIR, which may differ between processes of a user on one host.
LOCKS = Path(f"/tmp/gridlaw-{os.getuid()}")
POLL_SECONDS = 1.0

_held: list[FileLock] = []


def take(count: int) -> None:
    """Take free GPUs for this program and the ranks that it starts, and wait while there are too few.

    Must be called before CUDA starts. On a machine without a GPU this does nothing.

    Raises:
        Failure: the machine has too few GPUs.
    """
    gpus = visible()
    if not gpus:
        # Without NVML there may still be GPUs, and Trainer would use all of them, even for a single rank.
        names = os.environ.get(VISIBLE, ",".join(map(str, range(count)))).split(",")
        os.environ[VISIBLE] = ",".join(names[:count])
        return
    if len(gpus) < count:
        raise cli.Failure(
            f"gpus: {count} ranks need {count} GPUs, and {len(gpus)} can be seen here; use at most {len(gpus)} ranks,"
            f" or set {VISIBLE}= to train on CPU threads"
        )
    names = _lock(gpus, count)
    if not names:
        print(f"waiting for {count} of {len(gpus)} GPUs to be free", file=sys.stderr, flush=True)
    while not names:
        time.sleep(POLL_SECONDS)
        names = _lock(gpus, count)
    os.environ[VISIBLE] = ",".join(names)


def problem(attention: str) -> str | None:
    """Return what this machine lacks for an implementation of attention; None if nothing is missing."""
    if attention != "flash_attention_2":
        return None
    if find_spec("flash_attn") is None:
        return "attention: flash_attention_2 needs the package flash-attn, which is not installed; use auto"
    if not visible():
        return "attention: flash_attention_2 needs an NVIDIA GPU, and none can be seen here; use auto"
    return None


def visible() -> dict[str, str]:
    """Return the GPUs that CUDA shows to PyTorch, in its order: from each GPU's identity to its name in CUDA."""
    installed = uuids() if _pytorch_has_cuda() else []
    gpus: dict[str, str] = {}
    for name in os.environ.get(VISIBLE, ",".join(map(str, range(len(installed))))).split(","):
        identity = _identity(name.strip(), installed)
        if identity is None:
            # CUDA also ignores everything after an unknown name.
            break
        gpus.setdefault(identity, name.strip())
    return gpus


def _pytorch_has_cuda() -> bool:
    """Return whether PyTorch was built for CUDA, without importing it."""
    return any(Path(find_spec("torch").origin).with_name("lib").glob("libtorch_cuda*"))


def load_nvml() -> ModuleType | None:
    """Return NVML (the module `pynvml`), initialised; None on a machine without NVIDIA's driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def uuids() -> list[str]:
    """Return the UUIDs of this machine's NVIDIA GPUs, in NVML's order."""
    nvml = load_nvml()
    if nvml is None:
        return []
    try:
        handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        return [nvml.nvmlDeviceGetUUID(handle) for handle in handles]
    except nvml.NVMLError:
        return []


def _identity(name: str, uuids: list[str]) -> str | None:
    """Return the GPU for a name in CUDA_VISIBLE_DEVICES: a number, the beginning of a UUID, or a MIG instance."""
    if name.isdecimal():
        return uuids[int(name)] if int(name) < len(uuids) else None
    if name.startswith("MIG-"):
        return name if uuids else None
    return next((uuid for uuid in uuids if name.startswith("GPU-") and uuid.startswith(name)), None)


def _lock(gpus: dict[str, str], count: int) -> list[str]:
    """Lock as many free GPUs as needed, or none.

    Returns:
        names of the GPUs; empty if too few are free.
    """
    # Imported here because help, and a machine without GPUs, do not need it.
    from filelock import FileLock, Timeout

    LOCKS.mkdir(mode=0o700, exist_ok=True)
    free: dict[str, FileLock] = {}
    # One program at a time: otherwise two could each hold a GPU that the other one needs.
    with FileLock(LOCKS / "choosing"):
        for identity, name in gpus.items():
            lock = FileLock(LOCKS / identity.replace("/", "_"), fallback_to_soft=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            free[name] = lock
            if len(free) == count:
                _held.extend(free.values())
                return list(free)
        for lock in free.values():
            lock.release()
    return []
