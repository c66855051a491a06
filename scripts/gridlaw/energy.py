"""Energy of a run by the machine's own counters: its GPUs', or on a machine without a GPU its processors'."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from gridlaw import gpus

# A processor's counter is 32 bits wide: at a server's full load it starts again after a few minutes.
PERIOD_SECONDS = 30.0


class Counter(NamedTuple):
    """A counter that has run since before the program: reads joules, and starts again after `range` joules."""

    read: Callable[[], float]
    range: float


class Energy:
    """Joules used inside a `with` block, or that they were not measured: a counter's failure never ends a training.

    Args:
        powercap: Linux's folder of the processors' counters.
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
        """What the finished block used, for a record: `joules`, None where not measured, and their `source`."""
        # A counter that stands still is none (virtual machines have such); infinite is one that was set back.
        if self._used and all(0 < joules < math.inf for joules in self._used):
            return {"joules": round(sum(self._used), 3), "source": self._source}
        return {"joules": None, "source": "not measured"}


def together(records: list[dict]) -> dict[str, float | str | None]:
    """What several nodes used, from the record of each; not measured unless all of them are."""
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
    """NVML's counters of the GPUs that this program may use; needs the package nvidia-ml-py.

    CUDA tells which they are: it has applied CUDA_VISIBLE_DEVICES, and its order of GPUs is not NVML's.
    """
    nvml = gpus.load_nvml()
    if nvml is None:
        raise RuntimeError("NVML is not available")

    def counter(gpu: int) -> Counter:
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(gpu).uuid}")
        # GPUs that cannot be partitioned answer with an error.
        with suppress(nvml.NVMLError):
            if nvml.nvmlDeviceGetMigMode(handle)[0]:
                raise ValueError("the GPU's counter is of all its partitions")
        return Counter(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3, math.inf)

    counters = [counter(gpu) for gpu in range(torch.cuda.device_count())]
    return f"NVML: {len(counters)} GPU{'s' * (len(counters) > 1)}", counters


def processor_counters(powercap: Path) -> tuple[str, list[Counter]]:
    """RAPL's counters of the machine's processor packages, in which those of their cores are included."""

    def joules(file: Path) -> float:
        return int(file.read_text()) / 1e6

    # `psys`, the whole platform, holds the packages once more.
    domains = [name.parent for name in powercap.glob("intel-rapl:*/name") if name.read_text().startswith("package")]
    counters = [Counter(partial(joules, at / "energy_uj"), joules(at / "max_energy_range_uj")) for at in domains]
    number = f"{len(counters)} processor package{'s' * (len(counters) > 1)}"
    return f"RAPL: the whole of {number}, other jobs included", counters
