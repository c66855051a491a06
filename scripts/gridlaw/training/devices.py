"""Devices: a rank is one GPU, or one CPU thread on a machine without a GPU."""

from __future__ import annotations

import ctypes
import os

# Large memory pages for large tensors, because each page of 4 KiB costs a page fault. torch reads this variable at its
# first allocation.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch

from gridlaw.runtime import launch

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def prepare() -> str:
    """Return the device's name. Without a GPU, use one CPU thread, so that compute is proportional to the ranks."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    torch.set_num_threads(1)
    # Otherwise accelerate uses more threads if torchrun starts a single rank on a node.
    os.environ["OMP_NUM_THREADS"] = "1"
    _keep_memory()
    return "cpu"


def _keep_memory() -> None:
    """Make glibc keep freed memory for the next optimizer step.

    By default it returns the memory of each large tensor to the system, which then has to clear the pages again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def device() -> torch.device:
    """Return the device of this rank."""
    if torch.cuda.is_available():
        # srun may show each rank only its own GPU.
        return torch.device("cuda", launch.local_rank() % torch.cuda.device_count())
    return torch.device("cpu")


def bf16(precision: str) -> bool:
    """Return whether a `precision` of the configuration means bf16 on this device; `auto` does if it supports bf16."""
    return precision == "bf16" or (precision == "auto" and _supports_bf16())


def _supports_bf16() -> bool:
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "arm_bf16", "bf16"))
