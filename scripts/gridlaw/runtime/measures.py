"""Speed, memory and energy of a run, over all its ranks. No result depends on them."""

from __future__ import annotations

import resource
import statistics

import torch
import torch.distributed as dist

from gridlaw.runtime import launch
from gridlaw.runtime.energy import Energy, add_nodes


def throughput(seconds: list[float], tokens_per_step: float) -> dict[str, float | None]:
    """Return the tokens per second of the median step, with the 95 % interval of the median (order statistics)."""
    if not seconds:
        return {"tokens_per_second": None, "tokens_per_second_low": None, "tokens_per_second_high": None}
    ordered, n = sorted(seconds), len(seconds)
    reach = 0.98 * n**0.5
    low, high = max(0, round(n / 2 - reach) - 1), min(n - 1, round(n / 2 + reach))
    return {
        "tokens_per_second": tokens_per_step / statistics.median(ordered),
        "tokens_per_second_low": tokens_per_step / ordered[high],
        "tokens_per_second_high": tokens_per_step / ordered[low],
    }


def peak_memory_mb() -> float:
    """Return the peak memory in MiB, summed over ranks: of the GPUs, or of the processes if there is no GPU."""
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return round(sum(_of_all_ranks(peak)), 1)


def energy_used(meter: Energy) -> dict[str, float | str | None]:
    """Return the energy that a run used on all its nodes, for a record; each rank has measured its own node."""
    records = _of_all_ranks(meter.record() if launch.local_rank() == 0 else None)
    return add_nodes([record for record in records if record])


def _of_all_ranks(value: object) -> list:
    """Return each rank's value, on every rank."""
    if not dist.is_initialized():
        return [value]
    values = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
