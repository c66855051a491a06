"""What a job asks of the cluster: GPUs, CPUs, nodes, memory, run time, partition.

Run time and memory are estimates, and what an attempt did not have enough of, the next one asks for more of.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gridlaw import arithmetic, grid, recipes

if TYPE_CHECKING:
    from snakemake.io import Wildcards

# Memory of a process that has loaded PyTorch: on a CPU, and with a GPU's driver; that of Snakemake in a job.
RANK_MB, GPU_RANK_MB, SNAKEMAKE_MB = 800, 6000, 400
# Bytes of a weight in training: itself, its gradient, AdamW's two moments; and once more while a checkpoint is written.
TRAINED_BYTES = 20
# Activations that a layer keeps for the backward pass, in bytes for each position and each unit of its width, about
# (Korthikanti et al. 2022, in fp32, with the feed-forward layer's).
ACTIVATION_BYTES = 68
# How far a job may take longer than estimated, by measured pace and before any was measured; minutes in any case.
MARGIN, MARGIN_UNMEASURED, LEAST_MINUTES = 1.5, 3.0, 10
# Estimates take in what has finished meanwhile, so often.
FRESH_SECONDS = 60


class Demands:
    """What jobs ask for.

    Args:
        config: a completed configuration.
        site: a completed site file; None on one machine, where a job asks for its GPUs and nothing else.
        plans: whether jobs are planned and submitted here. In a job it is too late to ask for time and memory.
    """

    def __init__(self, config: dict, site: dict | None, plans: bool):
        self._config, self._site, self._plans = config, site, plans
        self._gpu = site["gpu"] if site else None
        self._rates, self._learnt = None, -math.inf

    def of(self, rule: str) -> dict[str, object]:
        """Resources of a rule: values, or functions of a job's wildcards, None for what it does not ask for."""
        if self._site is None:
            ranks = {"trunk": _gpus, "pretrain": _gpus, "finetune": 1}.get(rule)
            return {"gpu": ranks} if ranks else {}
        if rule not in ("trunk", "pretrain", "finetune"):
            return self._everywhere(self._site["cpu"]) | ({"turn": 1} if rule == "ranks" else {})
        ranks = _one if rule == "finetune" else _ranks
        gpu, place = self._gpu or {}, self._gpu or self._site["cpu"]
        demands = {
            **self._everywhere(place),
            "cpus_per_task": lambda job: self._cpus(ranks(job)),
            "slurm_extra": f"--signal=TERM@{self._site['save_seconds']}",
        }
        if rule == "finetune":
            demands["turn"] = 1
        if gpu:
            demands["gpu"] = lambda job: None if self._as_gres(ranks(job)) else ranks(job)
            demands["gpu_model"] = lambda job: None if self._as_gres(ranks(job)) else gpu["model"]
            demands["gres"] = lambda job: self._gres(ranks(job)) if self._as_gres(ranks(job)) else None
        if ranks is _ranks:
            # Where each node has a GPU free, --gpus=2 alone may take one of each.
            demands["nodes"] = lambda job: self._nodes(ranks(job))
            # With `mpi` a job's program starts its processes on the nodes itself; its tasks are what they have room in.
            demands["mpi"] = lambda job: self._if_several(ranks(job), lambda _: "srun")
            demands["tasks_per_node"] = lambda job: self._if_several(ranks(job), self._tasks)
        if self._plans:
            demands["runtime"] = lambda job, attempt: self._minutes(rule, job, attempt, place["max_minutes"])
            demands["mem_mb"] = lambda job, attempt: self._memory(rule, job, ranks(job), attempt)
        return demands

    def _everywhere(self, place: dict) -> dict[str, str]:
        named = {
            "slurm_partition": place["partition"],
            "slurm_account": self._site["account"],
            "qos": self._site["qos"],
        }
        return {name: value for name, value in named.items() if value is not None}

    def _nodes(self, ranks: int) -> int:
        return math.ceil(ranks / (self._config["gpus_per_node"] or ranks))

    def _if_several(self, ranks: int, of: Callable[[int], object]) -> object:
        """Something of the ranks if they need several nodes."""
        return of(ranks) if self._nodes(ranks) > 1 else None

    def _tasks(self, ranks: int) -> int:
        # The plugin wants more than one.
        return max(2, ranks // self._nodes(ranks))

    def _cpus(self, ranks: int) -> int:
        """CPUs of a task: all of a node's where there is one."""
        each = self._gpu["cpus_per_gpu"] if self._gpu else 1
        return each * ranks if self._nodes(ranks) == 1 else each

    def _as_gres(self, ranks: int) -> bool:
        # --gpus=16 may be spread unequally over two nodes; --gres counts on each.
        return self._gpu["request"] == "gres" or self._nodes(ranks) > 1

    def _gres(self, ranks: int) -> str:
        words = ["gpu", self._gpu["model"], str(ranks // self._nodes(ranks))]
        return ":".join(filter(None, words))

    def _minutes(self, rule: str, job: Wildcards, attempt: int, most: int) -> int:
        """Minutes of an attempt; one that is not enough is gone on with from its checkpoint by the next."""
        if self._rates is None or time.monotonic() - self._learnt > FRESH_SECONDS:
            # Late: jobs and other machines' runs need not wait for it.
            from gridlaw.cost import Rates
            from gridlaw.verdicts import Verdicts

            self._verdicts, self._learnt = Verdicts(self._config), time.monotonic()
            self._rates = Rates(self._verdicts, remote=bool(self._gpu))
        step = self._verdicts.steps.of("/".join(["results", rule, *job, "record.json"]))
        cost = self._rates.of([step])
        if cost.unknown:
            return most
        margin = MARGIN if self._rates.measured else MARGIN_UNMEASURED
        minutes = math.ceil((cost.seconds[step].high * margin + self._site["save_seconds"]) / 60)
        return min(most, attempt * max(LEAST_MINUTES, minutes))

    def _memory(self, rule: str, job: Wildcards, ranks: int, attempt: int) -> int:
        """Memory of an attempt on each node."""
        share = ranks // self._nodes(ranks)
        each = GPU_RANK_MB if self._gpu else RANK_MB
        encoder = arithmetic.encoder(self._config, job.model)
        # A released model's size is known when it is fetched, before any training of it is submitted.
        if encoder:
            rows, length = self._rows(rule, job)
            on_cpu = encoder.parameters * TRAINED_BYTES
            on_cpu += rows * length * encoder.layers * encoder.hidden * ACTIVATION_BYTES
            # A GPU's own memory is not asked for; a checkpoint passes through the host's.
            each += (encoder.parameters * TRAINED_BYTES if self._gpu else on_cpu) / 1e6
        return min(self._site["max_mem_mb"], attempt * math.ceil(SNAKEMAKE_MB + share * each))

    def _rows(self, rule: str, job: Wildcards) -> tuple[int, int]:
        """Rows that a rank holds at once, and their length."""
        if rule == "finetune":
            parameters = recipes.finetune_parameters(self._config, job.model, job.task)
            return min(parameters["batch_size"], parameters["device_batch_size"]), parameters["max_length"]
        parameters = recipes.pretrain_parameters(self._config, job.model)
        return min(parameters["batch_size"], parameters["device_batch_size"]), self._config["data"]["row_length"]


def _gpus(job: Wildcards) -> int:
    return int(job.gpus)


def _ranks(job: Wildcards) -> int:
    """Without text there is nothing to share."""
    return int(job.gpus) if grid.parse_size(job.size) != 0 else 1


def _one(job: Wildcards) -> int:
    return 1
