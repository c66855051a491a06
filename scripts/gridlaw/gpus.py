"""GPUs of this machine: each program takes free ones, so that two that run side by side never share one by accident.

Snakemake counts GPUs and does not say which. So who takes one holds a lock on it to the end of the process; the kernel
releases it, whatever ends the process. The lock is on the card and not on its number: programs that see different GPUs
(CUDA_VISIBLE_DEVICES), or that run in one Slurm job, still meet.

This module is imported before torch.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.metadata import distribution, distributions
from pathlib import Path
from types import ModuleType

from filelock import FileLock, Timeout

from gridlaw import cli

VISIBLE = "CUDA_VISIBLE_DEVICES"
# The same for all processes of a user on this host, which TMPDIR is not.
LOCKS = Path(f"/tmp/gridlaw-{os.getuid()}")
POLL_SECONDS = 1.0

_held: list[FileLock] = []


def take(count: int) -> None:
    """Take free GPUs for this program and for the ranks it starts, waiting while there are too few.

    To be called before CUDA starts. On a machine without a GPU there is nothing to take.

    Raises:
        Failure: the machine has too few of them.
    """
    gpus = visible()
    if not gpus:
        # A driver that NVML is not part of may be there: Trainer would use all GPUs, for a single rank, too.
        names = os.environ.get(VISIBLE, ",".join(map(str, range(count)))).split(",")
        os.environ[VISIBLE] = ",".join(names[:count])
        return
    if len(gpus) < count:
        raise cli.Failure(
            f"gpus: {count} ranks need as many GPUs, and of those {len(gpus)} can be seen here;"
            f" right would be {len(gpus)} or fewer, or {VISIBLE}= for ranks of a CPU thread"
        )
    names = _lock(gpus, count)
    if not names:
        print(f"waiting for {count} of {len(gpus)} GPUs to be free", file=sys.stderr, flush=True)
    while not names:
        time.sleep(POLL_SECONDS)
        names = _lock(gpus, count)
    os.environ[VISIBLE] = ",".join(names)


def problem(attention: str) -> str | None:
    """What an implementation of attention lacks on this machine, if it needs a GPU."""
    if attention != "flash_attention_2":
        return None
    if not any(distributions(name="flash-attn")):
        return "attention: flash_attention_2 needs the package flash-attn, which is not installed; right would be auto"
    if not visible():
        return "attention: flash_attention_2 needs an NVIDIA GPU, and none can be seen here; right would be auto"
    return None


def visible() -> dict[str, str]:
    """The GPUs that CUDA would show to PyTorch here, in its order: of each its identity, and its name to CUDA."""
    installed = uuids() if _pytorch_has_cuda() else []
    gpus: dict[str, str] = {}
    for name in os.environ.get(VISIBLE, ",".join(map(str, range(len(installed))))).split(","):
        identity = _identity(name.strip(), installed)
        if identity is None:
            # CUDA too takes no notice of what follows a name that it does not know.
            break
        gpus.setdefault(identity, name.strip())
    return gpus


def _pytorch_has_cuda() -> bool:
    """Whether PyTorch was built for CUDA, without importing it."""
    return any(Path(distribution("torch").locate_file("torch/lib")).glob("libtorch_cuda*"))


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
    """What a name in CUDA_VISIBLE_DEVICES stands for: a number, the beginning of a UUID, a part of a GPU (MIG)."""
    if name.isdecimal():
        return uuids[int(name)] if int(name) < len(uuids) else None
    if name.startswith("MIG-"):
        return name if uuids else None
    return next((uuid for uuid in uuids if name.startswith("GPU-") and uuid.startswith(name)), None)


def _lock(gpus: dict[str, str], count: int) -> list[str]:
    """Lock free GPUs; all of them or none.

    Returns:
        their names, none if too few are free.
    """
    LOCKS.mkdir(mode=0o700, exist_ok=True)
    free: dict[str, FileLock] = {}
    # One program at a time, or two could keep each other from the last one they need.
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
