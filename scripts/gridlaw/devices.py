"""Devices: a rank is a GPU, or one CPU thread on a machine without a GPU."""

from __future__ import annotations

import ctypes
import os

# Large tensors on large pages: those of 4 KiB each cost a fault. Read by torch at its first allocation.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch

from gridlaw import launch

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def prepare() -> str:
    """Take one CPU thread where there is no GPU, so that the number of ranks is the compute, and name the device."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    torch.set_num_threads(1)
    # Or accelerate would take more where torchrun started a single rank on a node.
    os.environ["OMP_NUM_THREADS"] = "1"
    _keep_memory()
    return "cpu"


def _keep_memory() -> None:
    """Have glibc keep freed memory for the next update.

    It would give each large tensor back to the system, and be handed pages again that the system has to clear first.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def device() -> torch.device:
    """The running rank's own."""
    if torch.cuda.is_available():
        # srun may show each rank its own GPU alone.
        return torch.device("cuda", launch.local_rank() % torch.cuda.device_count())
    return torch.device("cpu")


def bf16(precision: str) -> bool:
    """Whether a `precision` of the configuration means bf16 here: auto does where the device multiplies in it."""
    return precision == "bf16" or (precision == "auto" and _multiplies_in_bf16())


def _multiplies_in_bf16() -> bool:
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities()
    return any(has.get(name, False) for name in ("amx_bf16", "avx512_bf16", "arm_bf16", "bf16"))
