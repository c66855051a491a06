"""Shared parts of the benchmarks: access to the pipeline's modules, a description of the machine, and tables."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
# Programs import this module before gridlaw and before torch.
sys.path.insert(0, str(SCRIPTS))
# Nothing here is fetched from the hub.
os.environ["HF_HUB_OFFLINE"] = "1"
# Trainer would use all GPUs of the machine.
os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def configuration() -> dict:
    """The configuration of the default grid; benchmarks change what they name and keep the rest."""
    import yaml

    from gridlaw.config import loading

    return loading.complete(yaml.safe_load((ROOT / "config.yaml").read_text()))


def print_machine(threads: int) -> None:
    """Print date, machine, device and versions."""
    import torch

    from gridlaw.training import devices

    names = ("torch", "transformers", "accelerate", "datasets", "tokenizers", "numpy")
    gpu = f"one {torch.cuda.get_device_name()} and " if torch.cuda.is_available() else ""
    negation = "" if devices.bf16("auto") else "not "
    print(f"date      {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print(f"machine   {platform.platform()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"CPU       {_processor()}, {torch.backends.cpu.get_cpu_capability()}")
    print(f"used      {gpu}{threads} CPU thread{'s' * (threads > 1)}; the device does {negation}multiply in bf16")
    print(f"versions  Python {platform.python_version()}, {', '.join(f'{n} {metadata.version(n)}' for n in names)}")
    print(flush=True)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = dict.fromkeys(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return " / ".join(names) or platform.processor()


def spread(values: Iterable[float], form: str = ".2f") -> str:
    """The median, with the range in brackets."""
    ordered = sorted(values)
    median, low, high = (format(value, form) for value in (statistics.median(ordered), ordered[0], ordered[-1]))
    return f"{median} [{low}, {high}]" if len(ordered) > 1 else median


def print_table(rows: list[dict[str, str]]) -> None:
    """Print rows with the same columns: the first column left-aligned, numbers right-aligned."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    first, *widths = (max(map(len, column)) for column in zip(*lines, strict=True))
    for name, *numbers in lines:
        cells = [number.rjust(width) for number, width in zip(numbers, widths, strict=True)]
        print("  ".join([name.ljust(first), *cells]))
    print(flush=True)
