"""Ranks and devices: a rank is a GPU, or one CPU thread on a machine without a GPU."""

from __future__ import annotations

import os
import sys

import torch


def launch(ranks: int) -> None:
    """Start the running program again on several ranks with torchrun; returns in the ranks.

    One rank needs no launcher, which would cost its start; it keeps to one GPU, because Trainer would take all it sees.
    """
    if "RANK" in os.environ:
        return
    if ranks > 1:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        os.execv(sys.executable, [sys.executable, *torchrun, *sys.argv])
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def rank() -> int:
    """Number of the running rank; 0 does what is done once."""
    return int(os.environ.get("RANK", 0))


def prepare() -> str:
    """Take one CPU thread where there is no GPU, so that the number of ranks is the compute, and name the device."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    torch.set_num_threads(1)
    return "cpu"


def bf16(precision: str) -> bool:
    """Whether a `precision` of the configuration means bf16 here."""
    return precision == "bf16" or (precision == "auto" and torch.cuda.is_available() and torch.cuda.is_bf16_supported())
