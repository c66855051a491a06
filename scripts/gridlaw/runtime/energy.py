"""Energy of a run, measured by the counters of the machine's GPUs, or of its processors on a machine without a GPU."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from gridlaw.runtime import gpus

# A processor's counter has 32 bits: on a fully loaded server it overflows within minutes.
PERIOD_SECONDS = 30.0


class Counter(NamedTuple):
    """A counter of the machine: `read` returns joules, and the counter restarts at 0 after `range` joules."""

    read: Callable[[], float]
    range: float


class Energy:
    """Measures the joules used inside a `with` block; if a counter fails, they count as not measured.

    Args:
        powercap: Linux's folder of processor counters.
    """

    def __init__(self, powercap: str | Path = "/sys/class/powercap"):
        self._powercap = Path(powercap)
        self._used: list[float] = []
        self._source = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="energy", daemon=True)

    def __enter__(self) -> Energy:
        with suppress(Exception):
            self._source, self._counters = (
                gpu_counters() if torch.cuda.is_available() else processor_counters(self._powercap)
            )
            self._last = [counter.read() for counter in self._counters]
            self._used = [0.0] * len(self._last)
            self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        try:
            ended = False
            while not ended:
                ended = self._ended.wait(PERIOD_SECONDS)
                for i, counter in enumerate(self._counters):
                    before, self._last[i] = self._last[i], counter.read()
                    self._used[i] += (self._last[i] - before) % counter.range
        except Exception:
            self._used = []

    def record(self) -> dict[str, float | str | None]:
        """Return the `joules` that the block used, None if not measured, and their `source`, for a record."""
        # The counters of some virtual machines stand still; a GPU's counter that was reset gives infinity.
        if self._used and all(0 < joules < math.inf for joules in self._used):
            return {"joules": round(sum(self._used), 3), "source": self._source}
        return {"joules": None, "source": "not measured"}


def add_nodes(records: list[dict]) -> dict[str, float | str | None]:
    """Return the energy of several nodes, given each node's; not measured if one of them is not."""
    if len(records) == 1:
        return records[0]
    if any(record["joules"] is None for record in records):
        return {"joules": None, "source": "not measured"}
    sources = " and ".join(dict.fromkeys(record["source"] for record in records))
    return {
        "joules": round(sum(record["joules"] for record in records), 3),
        "source": f"{len(records)} nodes: {sources}",
    }


def gpu_counters() -> tuple[str, list[Counter]]:
    """Return NVML's counters of the GPUs that this program may use.

    The UUIDs come from CUDA, which applies CUDA_VISIBLE_DEVICES and numbers GPUs in another order than NVML.
    """
    nvml = gpus.load_nvml()
    if nvml is None:
        raise RuntimeError("NVML is not available")

    def counter(gpu: int) -> Counter:
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(gpu).uuid}")
        # NVML raises an error for GPUs that cannot be partitioned.
        with suppress(nvml.NVMLError):
            if nvml.nvmlDeviceGetMigMode(handle)[0]:
                raise ValueError("the GPU's counter covers all its partitions")
        return Counter(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3, math.inf)

    counters = [counter(gpu) for gpu in range(torch.cuda.device_count())]
    return f"NVML: {len(counters)} GPU{'s' * (len(counters) > 1)}", counters


def processor_counters(powercap: Path) -> tuple[str, list[Counter]]:
    """Return RAPL's counters of the machine's processor packages, which include their cores."""

    def joules(file: Path) -> float:
        return int(file.read_text()) / 1e6

    # `psys` is the whole platform and would count the packages twice.
    domains = [name.parent for name in powercap.glob("intel-rapl:*/name") if name.read_text().startswith("package")]
    counters = [Counter(partial(joules, at / "energy_uj"), joules(at / "max_energy_range_uj")) for at in domains]
    number = f"{len(counters)} processor package{'s' * (len(counters) > 1)}"
    return f"RAPL: the whole of {number}, other jobs included", counters
