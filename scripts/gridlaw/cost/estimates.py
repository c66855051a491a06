"""Estimated cost of running some steps: rank-hours, time, disk, energy.

The time of a training is its FLOPs (see `gridlaw.arithmetic`) at the speed of the most similar finished trainings of
the grid, plus their start-up time. Until a training has finished, the speed is a rough assumption.
"""

from __future__ import annotations

import heapq
import math
import statistics
from collections import Counter, defaultdict, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import NamedTuple

from gridlaw import legacy
from gridlaw.config import grid
from gridlaw.cost import arithmetic
from gridlaw.objectives import objective
from gridlaw.runtime import gpus
from gridlaw.training import schedule
from gridlaw.workflow import work_folder
from gridlaw.workflow.kinds.data import pack_of, slice_of
from gridlaw.workflow.states import FAILED, INTERRUPTED
from gridlaw.workflow.status import Verdicts
from gridlaw.workflow.steps import OF_A_CELL, TRAININGS, Step

# Used until there are measurements: FLOP/s of a rank, and seconds that a program takes to start.
ASSUMED_FLOPS = {"gpu": 50e12, "cpu": 15e9}
ASSUMED_START = 5.0
# Bytes per weight in a model's file, and in a trunk's state, which includes AdamW's two moments.
MODEL_BYTES, STATE_BYTES = 4, 12
# Numbers of training examples of the GLUE tasks, by the name of the configuration on the hub.
GLUE = {
    "cola": 8551, "sst2": 67349, "mrpc": 3668, "stsb": 5749, "qqp": 363846, "mnli": 392702, "qnli": 104743,
    "rte": 2490, "wnli": 635,
}  # fmt: skip


class Span(NamedTuple):
    """An estimate with an interval."""

    low: float
    middle: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(*map(sum, zip(self, other, strict=True)))

    def __mul__(self, factor: float) -> Span:
        return Span(*(value * factor for value in self))


NOTHING = Span(0.0, 0.0, 0.0)


@dataclass
class Cost:
    """The estimated cost of running some steps.

    Args:
        seconds: time of each step.
        rank_seconds: time of the trainings multiplied by their ranks (GPUs, or CPU threads).
        disk: bytes of models and of trunks' states.
        joules: energy of the ranks; None if it is not known.
        unknown: numbers of trainings that are not included, by reason.
    """

    seconds: dict[Step, Span] = field(default_factory=dict)
    rank_seconds: Span = NOTHING
    disk: float = 0.0
    joules: Span | None = None
    unknown: Counter[str] = field(default_factory=Counter)


class Unknown(Exception):
    """An estimate is not possible yet; the message says for which trainings, and when it will be."""


class Rates:
    """The measured speed of the grid's finished trainings, and estimates for others.

    Args:
        verdicts: states and records of the grid's results.
        remote: whether jobs run on other machines than this one.
    """

    def __init__(self, verdicts: Verdicts, remote: bool = False):
        self._config, self._verdicts = verdicts.config, verdicts
        self.prices = self._config["cost"]
        self._encoder = cache(self._find_encoder)
        # Rank-seconds per FLOP by kind of training, seconds of start-up by rule, watts of each rank.
        self._paces: dict[tuple, list[float]] = defaultdict(list)
        self._starts: dict[str, list[float]] = defaultdict(list)
        self._watts: list[float] = []
        self.measured = 0
        devices = {self.learn(step) for step in verdicts.steps} - {None}
        self.device = "gpu" if (devices - {"cpu"} if devices else remote or gpus.uuids()) else "cpu"

    def estimate(self, steps: Collection[Step]) -> Cost:
        """Return the cost of running some steps."""
        cost = Cost()
        for step in steps:
            cost.seconds[step] = _span(self._starts.get(step.rule, [ASSUMED_START]))
            if step.rule in TRAININGS:
                try:
                    flops = self._flops(step, steps)
                    cost.seconds[step] += self._pace(step) * (flops / ranks(step))
                    cost.disk += self._bytes(step)
                except Unknown as reason:
                    cost.unknown[str(reason)] += 1
                cost.rank_seconds += cost.seconds[step] * ranks(step)
        watts = self.prices.get("watts_per_gpu") or (statistics.median(self._watts) if self._watts else None)
        cost.joules = cost.rank_seconds * watts if watts else None
        return cost

    def runs(self, steps: Collection[Step]) -> int:
        """Count the fine-tuning runs that some steps still have to do, over all seeds and training sets."""
        return sum(len(self._runs(step, steps)) for step in steps if step.rule == "finetune")

    def assumed(self) -> float:
        """Return the assumed FLOP/s of a rank, used until there are measurements."""
        tera = self.prices.get("teraflops_per_gpu")
        return tera * 1e12 if tera else ASSUMED_FLOPS[self.device]

    def learn(self, step: Step) -> str | None:
        """Add the measurements of a step, if it is done; return the device if it is a training."""
        facts = self._verdicts.record(step.record)
        if facts is None or "wall_seconds" not in facts:
            return None
        trained = flops = 0.0
        try:
            if step.rule == "finetune":
                trained = sum(run["seconds"] for run in facts["runs"])
                examples = sum(run["train_examples"] for run in facts["runs"])
                flops = self._finetuning(step.wildcards["model"], facts["recipe"], examples)
            elif facts.get("steps_here"):
                trained, flops = facts["train_seconds"], facts["flops"] * facts["steps_here"] / facts["steps"]
        except (Unknown, KeyError):
            pass
        # Runs of earlier attempts do not count in the wall time of the last attempt.
        self._starts[step.rule].append(max(0.0, facts["wall_seconds"] - trained))
        if not trained or not flops:
            return None
        self.measured += 1
        for kind in (*_kinds(step), ()):
            self._paces[kind].append(trained * ranks(step) / flops)
        joules = facts.get("energy", {}).get("joules")
        if joules:
            self._watts.append(joules / facts["wall_seconds"] / ranks(step))
        return facts["device"]

    def _pace(self, step: Step) -> Span:
        """Return the rank-seconds per FLOP of the finished trainings most similar to a step, and their range.

        If there is only one such training, the relative range is that of the next kind with several trainings.
        """
        paces = [self._paces[kind] for kind in (*_kinds(step), ()) if kind in self._paces]
        if not paces:
            return _span([1 / self.assumed()])
        middle = statistics.median(paces[0])
        spread = _span(next((values for values in paces[:-1] if len(values) > 1), paces[0]))
        return Span(*(middle * value / spread.middle for value in spread))

    def _flops(self, step: Step, steps: Collection[Step]) -> float:
        """Return the FLOPs that a training still has to do.

        Args:
            steps: all steps that will run. If an input of the training is among them, its checkpoints are of no use.

        Raises:
            Unknown: the FLOPs depend on something that does not exist yet.
        """
        if step.rule == "finetune":
            sizes = [size for size, _ in self._runs(step, steps)]
            examples = sum(self._examples(step.wildcards["task"]) if size == "all" else size for size in sizes)
            return self._finetuning(step.wildcards["model"], step.recipe, examples)
        model, size = step.wildcards["model"], step.wildcards["size"]
        if not grid.is_trained(size):
            return 0.0
        first, last = self._step_range(step)
        if self._verdicts.verdict(step).state in (INTERRUPTED, FAILED) and not self._starts_again(step, steps):
            first = max(first, work_folder.progress(step.work)[0])
        rows = max(0, last - first) * step.recipe["batch_size"]
        tokens, slice_rows = self._text(model, size)
        predicted = objective.find(step.recipe).predicted_share(step.recipe) * tokens / slice_rows * rows
        return self._encoder(model).flops(self._config["data"]["row_length"], rows, predicted)

    def _runs(self, step: Step, steps: Collection[Step]) -> list[tuple[int | str, int]]:
        """Return the training sets and seeds of the fine-tuning runs that a step still has to do."""
        kept = () if self._starts_again(step, steps) else work_folder.progress(step.work)[1]
        runs = product(step.recipe["train_examples"], step.recipe["seeds"])
        return [(size, seed) for size, seed in runs if work_folder.run_name(size, seed) not in kept]

    def _finetuning(self, model: str, recipe: dict, examples: int) -> float:
        """Return the FLOPs of fine-tuning on some examples, if each has the maximum length."""
        return self._encoder(model).flops(recipe["max_length"], examples * recipe["epochs"], 0)

    def _starts_again(self, step: Step, steps: Collection[Step]) -> bool:
        """Return whether a training can use nothing of what lies in its work folder.

        Args:
            steps: all steps that will run; if an input of the training is among them, it will be another one.
        """
        return any(earlier in steps for earlier in step.after) or bool(self._verdicts.obstacles(step))

    def _step_range(self, step: Step) -> tuple[int, int]:
        """Return the optimizer steps at which a pre-training begins and ends; see `pretraining.Plan`."""
        trunks = [earlier.wildcards["size"] for earlier in step.after if earlier.rule == "trunk"]
        branch, end = self._course(step, step.wildcards["size"])
        if step.rule == "trunk":
            return (self._course(step, trunks[0])[0] if trunks else 0), branch
        return (branch if trunks else 0), end

    def _course(self, step: Step, size: str) -> tuple[int, int]:
        """Return the optimizer steps at which a run at a size begins its decay, and ends."""
        recipe = step.recipe
        _, rows = self._text(step.wildcards["model"], size)
        end = int(recipe["passes"] * rows) // recipe["batch_size"]
        warmup = math.ceil(recipe["warmup_tokens"] / (recipe["batch_size"] * self._config["data"]["row_length"]))
        return schedule.branch_point(end, recipe["decay_ratio"], warmup), end

    def _text(self, model: str, size: str) -> tuple[float, float]:
        """Return the tokens and rows of a slice: the real ones, else an estimate from its size."""
        manifest = self._verdicts.record(slice_of(self._config, model, size))
        if manifest:
            return legacy.slice(manifest)["corpus_tokens"], manifest["rows"]
        tokens = self._corpus(model) if size == grid.ALL else grid.parse_size(size)
        return tokens, tokens / (self._config["data"]["row_length"] - 1)

    def _corpus(self, model: str) -> float:
        """Return the tokens of the whole corpus."""
        packed = self._verdicts.record(pack_of(self._config, model))
        if packed:
            return packed["train"]["tokens"]
        corpus = self._config["catalogue"]["corpora"][self._config["corpus"]]
        if "words" in corpus:
            return grid.parse_size(corpus["words"]) - self._config["data"]["held_out_words"]
        raise Unknown("at size all, until the corpus is packed and its tokens are counted")

    def _examples(self, task: str) -> int:
        """Return the number of training examples of a task."""
        entry = self._config["catalogue"]["tasks"][task]
        fetched = self._verdicts.record(f"resources/task/{task}/manifest.json")
        if fetched:
            return fetched["splits"][entry["train"]]
        examples = entry.get("train_size") or GLUE.get(entry.get("config"))
        if examples is None:
            raise Unknown(f"on {task}, until the task is fetched and its examples are counted")
        return examples

    def _bytes(self, step: Step) -> float:
        """Return the bytes of a training's result, without predictions."""
        each = {"trunk": STATE_BYTES, "pretrain": MODEL_BYTES}.get(step.rule, 0)
        return each * self._encoder(step.wildcards["model"]).parameters

    def _find_encoder(self, model: str) -> arithmetic.Encoder:
        encoder = arithmetic.encoder(self._config, model)
        if encoder is None:
            raise Unknown(f"of {model}, until the checkpoint is fetched and its size is known")
        return encoder


def ranks(step: Step) -> int:
    """Return the number of ranks of a step; a step that trains nothing needs only one."""
    is_shared = step.rule in ("trunk", "pretrain") and grid.is_trained(step.wildcards["size"])
    return int(step.wildcards["gpus"]) if is_shared else 1


def makespan(seconds: dict[Step, Span], cores: int | None, gpus: int | None, jobs: int | None) -> float:
    """Return the seconds that some steps take together, if each begins as soon as its inputs and resources allow.

    Args:
        seconds: time of each step.
        cores, gpus, jobs: available numbers; None is no limit.
    """
    waiting = {step: sum(earlier in seconds for earlier in step.after) for step in seconds}
    after: dict[Step, list[Step]] = defaultdict(list)
    for step in seconds:
        for earlier in step.after:
            after[earlier].append(step)
    # Ready steps by the resources they need. Trainings begin before other steps, and many ranks before few.
    ready: dict[tuple[bool, int], deque[Step]] = defaultdict(deque)
    running: list[tuple[float, int, Step]] = []
    free, now, count = [math.inf if limit is None else limit for limit in (cores, gpus, jobs)], 0.0, 0

    def put(step: Step) -> None:
        ready[step.rule not in OF_A_CELL, step.rule in TRAININGS, ranks(step)].append(step)

    for step in [step for step, number in waiting.items() if not number]:
        put(step)
    while ready or running:
        for kind in sorted(ready, reverse=True):
            held = [min(kind[2], cores or kind[2]), min(kind[2], gpus or 0) if kind[1] else 0, 1]
            while ready[kind] and all(need <= limit for need, limit in zip(held, free, strict=True)):
                step = ready[kind].popleft()
                free = [limit - need for need, limit in zip(held, free, strict=True)]
                heapq.heappush(running, (now + seconds[step].middle, count := count + 1, step, held))
            if not ready[kind]:
                del ready[kind]
        now, _, step, held = heapq.heappop(running)
        free = [limit + need for need, limit in zip(held, free, strict=True)]
        for later in after[step]:
            if later in waiting:
                waiting[later] -= 1
                if not waiting[later]:
                    put(later)
    return now


def _kinds(step: Step) -> list[tuple]:
    """Return the kinds of trainings that a step belongs to, the most specific first."""
    model = step.wildcards["model"]
    if step.rule == "finetune":
        return [("finetune", model, step.wildcards["task"]), ("finetune", model), ("finetune",)]
    return [("pretrain", model, ranks(step)), ("pretrain", model), ("pretrain",)]


def _span(values: Collection[float]) -> Span:
    """Return the median and range of some values; of ten or more, the range of the middle 80 %."""
    ordered, cut = sorted(values), len(values) // 10
    return Span(ordered[cut], statistics.median(ordered), ordered[-1 - cut])
