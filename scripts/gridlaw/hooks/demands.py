"""Resources that a job requests from the cluster: GPUs, CPUs, nodes, memory, run time, partition.

Run time and memory are estimates; each further attempt requests more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gridlaw.config import grid, hyperparameters
from gridlaw.cost import arithmetic
from gridlaw.workflow.steps import KINDS

if TYPE_CHECKING:
    from snakemake.io import Wildcards

# Memory of a process with PyTorch on a CPU, of one with PyTorch on a GPU, and of Snakemake inside a job, in MB.
RANK_MB, GPU_RANK_MB, SNAKEMAKE_MB = 800, 6000, 400
# Bytes per weight in training: weight, gradient, AdamW's two moments, and a copy while a checkpoint is written.
TRAINED_BYTES = 20
# Bytes of activations that a layer keeps for the backward pass, per position and unit of its width, approximately
# (Korthikanti et al. 2022; in fp32, with the feed-forward layer).
ACTIVATION_BYTES = 68
# Factors between requested and estimated time, with and without measurements; and the minimum request in minutes.
MARGIN, MARGIN_UNMEASURED, LEAST_MINUTES = 1.5, 3.0, 10
# Seconds after which estimates are renewed from the results that have finished meanwhile.
FRESH_SECONDS = 60


class Demands:
    """The resources of each rule's jobs.

    Args:
        config: a completed configuration.
        site: a completed site file; None on one machine, where a job only requests its GPUs.
        plans: whether jobs are planned and submitted here. Inside a job, time and memory are already granted.
    """

    def __init__(self, config: dict, site: dict | None, plans: bool):
        self._config, self._site, self._plans = config, site, plans
        self._gpu = site["gpu"] if site else None
        self._rates, self._measured_at = None, -math.inf

    def request(self, rule: str) -> dict[str, object]:
        """Return the resources of a rule, by name: values, or functions of a job's wildcards; None is no request."""
        if self._site is None:
            ranks = {"trunk": _gpus, "pretrain": _gpus, "finetune": 1}.get(rule)
            return {"gpu": ranks} if ranks else {}
        if rule not in ("trunk", "pretrain", "finetune"):
            return self._everywhere(self._site["cpu"]) | ({"turn": 1} if rule == "ranks" else {})
        ranks = _single if rule == "finetune" else _ranks
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
            # With --gpus=2 alone, Slurm may take one GPU on each of two nodes.
            demands["nodes"] = lambda job: self._nodes(ranks(job))
            # With `mpi`, a job's program starts the processes on the nodes itself, within the job's tasks.
            demands["mpi"] = lambda job: self._if_several(ranks(job), lambda _: "srun")
            demands["tasks_per_node"] = lambda job: self._if_several(ranks(job), self._tasks)
        if self._plans:
            demands["runtime"] = lambda job, attempt: self._minutes(rule, job, attempt, place["max_minutes"])
            demands["mem_mb"] = lambda job, attempt: self._memory(rule, job, ranks(job), attempt)
        return demands

    def _everywhere(self, place: dict) -> dict[str, str]:
        options = {
            "slurm_partition": place["partition"],
            "slurm_account": self._site["account"],
            "qos": self._site["qos"],
        }
        return {name: value for name, value in options.items() if value is not None}

    def _nodes(self, ranks: int) -> int:
        return math.ceil(ranks / (self._config["gpus_per_node"] or ranks))

    def _if_several(self, ranks: int, request: Callable[[int], object]) -> object:
        """Return a request for the ranks if they need several nodes; else None."""
        return request(ranks) if self._nodes(ranks) > 1 else None

    def _tasks(self, ranks: int) -> int:
        # The plugin needs at least two.
        return max(2, ranks // self._nodes(ranks))

    def _cpus(self, ranks: int) -> int:
        """Return the CPUs of a task; on a single node there is one task for all ranks."""
        each = self._gpu["cpus_per_gpu"] if self._gpu else 1
        return each * ranks if self._nodes(ranks) == 1 else each

    def _as_gres(self, ranks: int) -> bool:
        # Slurm may spread --gpus=16 unequally over two nodes; --gres is a number per node.
        return self._gpu["request"] == "gres" or self._nodes(ranks) > 1

    def _gres(self, ranks: int) -> str:
        words = ["gpu", self._gpu["model"], str(ranks // self._nodes(ranks))]
        return ":".join(filter(None, words))

    def _minutes(self, rule: str, job: Wildcards, attempt: int, most: int) -> int:
        """Return the minutes to request for an attempt; after a time limit, the next one resumes from a checkpoint."""
        if self._rates is None or time.monotonic() - self._measured_at > FRESH_SECONDS:
            # Imported lazily: jobs, and runs on one machine, do not need it.
            from gridlaw.cost.estimates import Rates
            from gridlaw.workflow.status import Verdicts

            self._verdicts, self._measured_at = Verdicts(self._config), time.monotonic()
            self._rates = Rates(self._verdicts, remote=bool(self._gpu))
        step = self._verdicts.steps.find(KINDS[rule].file("record", *job))
        cost = self._rates.estimate([step])
        if cost.unknown:
            return most
        margin = MARGIN if self._rates.measured else MARGIN_UNMEASURED
        minutes = math.ceil((cost.seconds[step].high * margin + self._site["save_seconds"]) / 60)
        return min(most, attempt * max(LEAST_MINUTES, minutes))

    def _memory(self, rule: str, job: Wildcards, ranks: int, attempt: int) -> int:
        """Return the memory to request for an attempt on each node, in MB."""
        share = ranks // self._nodes(ranks)
        each = GPU_RANK_MB if self._gpu else RANK_MB
        encoder = arithmetic.encoder(self._config, job.model)
        # The size of a released model is known once it is fetched, which is before its trainings are submitted.
        if encoder:
            rows, length = self._rows(rule, job)
            on_cpu = encoder.parameters * TRAINED_BYTES
            on_cpu += rows * length * encoder.layers * encoder.hidden * ACTIVATION_BYTES
            # GPU memory is not requested, but checkpoints pass through host memory.
            each += (encoder.parameters * TRAINED_BYTES if self._gpu else on_cpu) / 1e6
        return min(self._site["max_mem_mb"], attempt * math.ceil(SNAKEMAKE_MB + share * each))

    def _rows(self, rule: str, job: Wildcards) -> tuple[int, int]:
        """Return the number of sequences that a rank processes at once, and their length."""
        if rule == "finetune":
            values = hyperparameters.finetune_parameters(self._config, job.model, job.task)
            return min(values["batch_size"], values["device_batch_size"]), values["max_length"]
        values = hyperparameters.pretrain_parameters(self._config, job.model)
        return min(values["batch_size"], values["device_batch_size"]), self._config["data"]["row_length"]


def _gpus(job: Wildcards) -> int:
    return int(job.gpus)


def _ranks(job: Wildcards) -> int:
    """Return the ranks of a pre-training; a job that trains nothing needs only one."""
    return int(job.gpus) if grid.is_trained(job.size) else 1


def _single(job: Wildcards) -> int:
    return 1
