"""Devices: a rank is a GPU, or one CPU thread on a machine without a GPU."""

from __future__ import annotations

import os

import torch


def prepare() -> str:
    """Take one CPU thread where there is no GPU, so that the number of ranks is the compute, and name the device."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    torch.set_num_threads(1)
    return "cpu"


def device() -> torch.device:
    """The running rank's own."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


def bf16(precision: str) -> bool:
    """Whether a `precision` of the configuration means bf16 here: auto does where the device multiplies in it."""
    return precision == "bf16" or (precision == "auto" and _multiplies_in_bf16())


def _multiplies_in_bf16() -> bool:
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities()
    return any(has.get(name, False) for name in ("amx_bf16", "avx512_bf16", "arm_bf16", "bf16"))
