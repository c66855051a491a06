"""What it would cost to run some steps: rank-hours, time, disk, energy.

A training takes its FLOPs (see `gridlaw.arithmetic`) at the pace of those trainings of the grid that are done and most
like it, and starts as long as they did. Before any is done it is a rough estimate at an assumed pace.
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

from gridlaw import arithmetic, gpus, grid, layout, legacy, record, schedule, work
from gridlaw.steps import OF_A_CELL, TRAININGS, Step
from gridlaw.verdicts import INTERRUPTED, Verdicts

# In the place of what was measured: FLOP/s of a rank, and seconds that a program takes to start.
ASSUMED_FLOPS = {"gpu": 50e12, "cpu": 15e9}
ASSUMED_START = 5.0
# Bytes of a weight in a model's file, and in a trunk's state with AdamW's two moments.
MODEL_BYTES, STATE_BYTES = 4, 12
# Lists of a fine-tuning's recipe that may grow without making its finished runs void.
EXTENDABLE = {"seeds", "train_examples"}
# Training examples of the tasks of GLUE, as they are on the hub, by the name of the configuration there.
GLUE = {
    "cola": 8551, "sst2": 67349, "mrpc": 3668, "stsb": 5749, "qqp": 363846, "mnli": 392702, "qnli": 104743,
    "rte": 2490, "wnli": 635,
}  # fmt: skip


class Span(NamedTuple):
    """An estimate with its interval."""

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
    """What running some steps costs.

    Args:
        seconds: that each step takes.
        rank_seconds: that the trainings hold ranks: GPUs, or CPU threads.
        disk: bytes of models and of trunks' states.
        joules: that the ranks use; None if it is not known.
        unknown: trainings that are left out, by why.
    """

    seconds: dict[Step, Span] = field(default_factory=dict)
    rank_seconds: Span = NOTHING
    disk: float = 0.0
    joules: Span | None = None
    unknown: Counter[str] = field(default_factory=Counter)


class Unknown(Exception):
    """What an estimate would need, and when it will be known."""


class Rates:
    """How fast the grid's finished trainings went, from their records, and what others would take by that.

    Args:
        verdicts: give the grid's records.
        remote: whether jobs run on other machines than this one.
    """

    def __init__(self, verdicts: Verdicts, remote: bool = False):
        self._config, self._verdicts = verdicts.config, verdicts
        self.prices = self._config["cost"]
        self._encoder = cache(self._find_encoder)
        # Rank-seconds of a FLOP by what they are of, seconds of start-up by rule, watts of a rank.
        self._paces: dict[tuple, list[float]] = defaultdict(list)
        self._starts: dict[str, list[float]] = defaultdict(list)
        self._watts: list[float] = []
        self.measured = 0
        devices = {self.learn(step) for step in verdicts.steps} - {None}
        self.device = "gpu" if (devices - {"cpu"} if devices else remote or gpus.uuids()) else "cpu"

    def of(self, steps: Collection[Step]) -> Cost:
        """What running some steps costs."""
        cost = Cost()
        for step in steps:
            cost.seconds[step] = _span(self._starts.get(step.rule, [ASSUMED_START]))
            if step.rule in TRAININGS:
                try:
                    flops = self._flops(step, steps)
                    cost.seconds[step] += self._pace(step) * (flops / ranks(step))
                    cost.disk += self._bytes(step)
                except Unknown as what:
                    cost.unknown[str(what)] += 1
                cost.rank_seconds += cost.seconds[step] * ranks(step)
        watts = self.prices.get("watts_per_gpu") or (statistics.median(self._watts) if self._watts else None)
        cost.joules = cost.rank_seconds * watts if watts else None
        return cost

    def runs(self, steps: Collection[Step]) -> int:
        """Fine-tunings that some steps have left, of all seeds and training sets."""
        return sum(len(self._runs(step, steps)) for step in steps if step.rule == "finetune")

    def assumed(self) -> float:
        """FLOP/s that a rank is taken to do where none was measured."""
        tera = self.prices.get("teraflops_per_gpu")
        return tera * 1e12 if tera else ASSUMED_FLOPS[self.device]

    def learn(self, step: Step) -> str | None:
        """Take in how a step went, if it is done; gives a training's device."""
        made = self._verdicts.record(step.record)
        if made is None or "wall_seconds" not in made:
            return None
        trained = flops = 0.0
        try:
            if step.rule == "finetune":
                trained = sum(run["seconds"] for run in made["runs"])
                examples = sum(run["train_examples"] for run in made["runs"])
                flops = self._finetuning(step.wildcards["model"], made["recipe"], examples)
            elif made.get("steps_here"):
                trained, flops = made["train_seconds"], made["flops"] * made["steps_here"] / made["steps"]
        except (Unknown, KeyError):
            pass
        # Runs of an earlier attempt took no part of the last one's time.
        self._starts[step.rule].append(max(0.0, made["wall_seconds"] - trained))
        if not trained or not flops:
            return None
        self.measured += 1
        for kind in (*_kinds(step), ()):
            self._paces[kind].append(trained * ranks(step) / flops)
        joules = made.get("energy", {}).get("joules")
        if joules:
            self._watts.append(joules / made["wall_seconds"] / ranks(step))
        return made["device"]

    def _pace(self, step: Step) -> Span:
        """Rank-seconds of a FLOP: those of the finished trainings most like a step, their spread its interval.

        Of a single one there is no spread; it takes that of the next kind which has several.
        """
        found = [self._paces[kind] for kind in (*_kinds(step), ()) if kind in self._paces]
        if not found:
            return _span([1 / self.assumed()])
        middle = statistics.median(found[0])
        several = _span(next((paces for paces in found[:-1] if len(paces) > 1), found[0]))
        return Span(*(middle * value / several.middle for value in several))

    def _flops(self, step: Step, steps: Collection[Step]) -> float:
        """FLOPs that are left of a training.

        Args:
            steps: that are made with it. If what it is made from is, nothing that it has begun is of use.

        Raises:
            Unknown: something that they depend on is not there yet.
        """
        if step.rule == "finetune":
            sizes = [size for size, _ in self._runs(step, steps)]
            examples = sum(self._examples(step.wildcards["task"]) if size == "all" else size for size in sizes)
            return self._finetuning(step.wildcards["model"], step.recipe, examples)
        model, size = step.wildcards["model"], step.wildcards["size"]
        if size == "0":
            return 0.0
        first, last = self._updates(step)
        if self._verdicts.of(step).state == INTERRUPTED and not _anew(step, steps):
            first = max(first, work.progress(step.work)[0])
        rows = max(0, last - first) * step.recipe["batch_size"]
        tokens, whole = self._text(model, size)
        predicted = step.recipe["mask_rate"] * tokens / whole * rows
        return self._encoder(model).flops(self._config["data"]["row_length"], rows, predicted)

    def _runs(self, step: Step, steps: Collection[Step]) -> list[tuple[int | str, int]]:
        """Training sets and seeds that a fine-tuning has left."""
        kept = () if _anew(step, steps) else self._kept(step)
        runs = product(step.recipe["train_examples"], step.recipe["seeds"])
        return [(size, seed) for size, seed in runs if f"{size}-{seed}" not in kept]

    def _finetuning(self, model: str, recipe: dict, examples: int) -> float:
        """FLOPs of fine-tuning on some examples, as if each filled its row."""
        return self._encoder(model).flops(recipe["max_length"], examples * recipe["epochs"], 0)

    def _kept(self, step: Step) -> Collection[str]:
        """Names of the finished runs of a fine-tuning that are not repeated, because nothing but runs was added."""
        made = self._verdicts.record(step.record)
        if made is not None:
            basis = record.basis(made)
            before, now = ({key: of[key] for key in of.keys() - EXTENDABLE} for of in (basis["recipe"], step.recipe))
            if before != now or basis["code"] != step.code or self._verdicts.of(step).replaced:
                return ()
        return work.progress(step.work)[1]

    def _updates(self, step: Step) -> tuple[int, int]:
        """The updates that a pre-training begins and ends at; see `pretraining.Plan`."""
        trunks = [earlier.wildcards["size"] for earlier in step.after if earlier.rule == "trunk"]
        branch, end = self._course(step, step.wildcards["size"])
        if step.rule == "trunk":
            return (self._course(step, trunks[0])[0] if trunks else 0), branch
        return (branch if trunks else 0), end

    def _course(self, step: Step, size: str) -> tuple[int, int]:
        """The updates at which a run at a size begins to decay, and ends."""
        recipe = step.recipe
        _, rows = self._text(step.wildcards["model"], size)
        end = int(recipe["passes"] * rows) // recipe["batch_size"]
        warmup = math.ceil(recipe["warmup_tokens"] / (recipe["batch_size"] * self._config["data"]["row_length"]))
        return schedule.branch_point(end, recipe["decay_ratio"], warmup), end

    def _text(self, model: str, size: str) -> tuple[float, float]:
        """Tokens and rows of a slice: its own, else about what its size says."""
        found = self._verdicts.record(layout.slice_manifest(self._config, model, size))
        if found:
            return legacy.slice(found)["corpus_tokens"], found["rows"]
        tokens = self._corpus(model) if size == grid.ALL else grid.parse_size(size)
        return tokens, tokens / (self._config["data"]["row_length"] - 1)

    def _corpus(self, model: str) -> float:
        """Tokens of the whole corpus."""
        packed = self._verdicts.record(f"{layout.pack_folder(self._config, model)}/manifest.json")
        if packed:
            return packed["train"]["tokens"]
        corpus = self._config["catalogue"]["corpora"][self._config["corpus"]]
        if "words" in corpus:
            return grid.parse_size(corpus["words"]) - self._config["data"]["held_out_words"]
        raise Unknown("at size all, whose tokens are counted when the corpus is packed")

    def _examples(self, task: str) -> int:
        """Training examples of a task."""
        entry = self._config["catalogue"]["tasks"][task]
        fetched = self._verdicts.record(f"resources/task/{task}/manifest.json")
        if fetched:
            return fetched["splits"][entry["train"]]
        known = entry.get("train_size") or GLUE.get(entry.get("config"))
        if known is None:
            raise Unknown(f"on {task}, whose examples are counted when it is fetched")
        return known

    def _bytes(self, step: Step) -> float:
        """Disk that a training's result takes, predictions left out."""
        each = {"trunk": STATE_BYTES, "pretrain": MODEL_BYTES}.get(step.rule, 0)
        return each * self._encoder(step.wildcards["model"]).parameters

    def _find_encoder(self, model: str) -> arithmetic.Encoder:
        found = arithmetic.encoder(self._config, model)
        if found is None:
            raise Unknown(f"of {model}, whose size is known when it is fetched")
        return found


def _anew(step: Step, steps: Collection[Step]) -> bool:
    return any(earlier in steps for earlier in step.after)


def ranks(step: Step) -> int:
    """Ranks that a step runs on; without text there is nothing to share."""
    shared = step.rule in ("trunk", "pretrain") and step.wildcards["size"] != "0"
    return int(step.wildcards["gpus"]) if shared else 1


def makespan(seconds: dict[Step, Span], cores: int | None, gpus: int | None, jobs: int | None) -> float:
    """Seconds that some steps take together, each begun as soon as what it needs is there and free.

    Args:
        seconds: of each step.
        cores, gpus, jobs: how many there are to share; None is no limit.
    """
    waiting = {step: sum(earlier in seconds for earlier in step.after) for step in seconds}
    after: dict[Step, list[Step]] = defaultdict(list)
    for step in seconds:
        for earlier in step.after:
            after[earlier].append(step)
    # Ready steps by what they hold; what trains is begun before what does not, and many ranks before few.
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
            while ready[kind] and all(need <= there for need, there in zip(held, free, strict=True)):
                step = ready[kind].popleft()
                free = [there - need for need, there in zip(held, free, strict=True)]
                heapq.heappush(running, (now + seconds[step].middle, count := count + 1, step, held))
            if not ready[kind]:
                del ready[kind]
        now, _, step, held = heapq.heappop(running)
        free = [there + need for need, there in zip(held, free, strict=True)]
        for later in after[step]:
            if later in waiting:
                waiting[later] -= 1
                if not waiting[later]:
                    put(later)
    return now


def _kinds(step: Step) -> list[tuple]:
    """Kinds of trainings that a step belongs to, the narrowest first."""
    model = step.wildcards["model"]
    if step.rule == "finetune":
        return [("finetune", model, step.wildcards["task"]), ("finetune", model), ("finetune",)]
    return [("pretrain", model, ranks(step)), ("pretrain", model), ("pretrain",)]


def _span(values: Collection[float]) -> Span:
    """The median of some values and their range; of ten or more, that of the middle eight tenths."""
    ordered, cut = sorted(values), len(values) // 10
    return Span(ordered[cut], statistics.median(ordered), ordered[-1 - cut])
