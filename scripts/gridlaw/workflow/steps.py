"""The steps of a grid: every result of its workflow, the record that it should have, and its dependencies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from gridlaw import io
from gridlaw.canonical_json import canonical
from gridlaw.config import grid
from gridlaw.workflow import file_lists, identity
from gridlaw.workflow.experiment import Experiment
from gridlaw.workflow.kind import Kind
from gridlaw.workflow.kinds import analysis, data, evaluation, reporting, training
from gridlaw.workflow.recipe import Recipe

SCRIPTS = Path(__file__).resolve().parents[2]
# All kinds of steps by name, upstream first.
KINDS = {
    kind.name: kind
    for kind in (
        data.CORPUS, data.SEGMENTS, data.TOKENIZER, data.CHECKPOINT, data.PACK, data.SLICE, data.TASK,
        training.TRUNK, training.PRETRAIN, training.RANKS, training.FINETUNE,
        evaluation.SCORE, evaluation.BASELINE, evaluation.AGGREGATE,
        analysis.LAWS, analysis.FORECASTS, analysis.DECISIONS,
        *reporting.FIGURES.values(), reporting.REPORT, reporting.LATEX,
    )
}  # fmt: skip
TRAININGS = ("trunk", "pretrain", "finetune")
# Steps whose result belongs to one cell of the grid.
OF_A_CELL = (*TRAININGS, "score")
# Final targets.
TARGETS = (reporting.REPORT, reporting.LATEX)
# Kinds with one step in a grid.
SINGLE = {name: kind for name, kind in KINDS.items() if kind.single}
MAKERS = {file: kind for kind in SINGLE.values() for file in kind.files()}


@dataclass(frozen=True, eq=False)
class Step:
    """One result of the workflow.

    Args:
        kind: its kind.
        wildcards: values of the rule's wildcards, in the order of the path.
        resolved: its recipe, with the configuration keys of the entries.
        files: files of each input.
        after: the steps that write these files, apart from the user's.
    """

    kind: Kind
    wildcards: dict[str, str]
    resolved: Recipe
    files: dict[str, list[str]]
    after: tuple[Step, ...]

    @property
    def rule(self) -> str:
        """The name of its rule, which is also that of its program."""
        return self.kind.name

    @property
    def recipe(self) -> dict:
        """The recipe that its record should contain."""
        return self.resolved.values

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The files whose digests its record should contain."""
        return self.kind.recorded(self.files)

    @cached_property
    def record(self) -> str:
        """The path of its record, which is written after the rest of the result."""
        return self.kind.file("record", *self.wildcards.values())

    @cached_property
    def outputs(self) -> frozenset[str]:
        """The files that its rule makes."""
        folder = self.kind.folder.format(**self.wildcards)
        return frozenset(f"{folder}/{output.name}" for output in self.kind.writes.values())

    @property
    def folder(self) -> str:
        """The folder of its result."""
        return self.record.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its rule and the values of the wildcards."""
        return " ".join([self.rule, *self.wildcards.values()])

    @property
    def program(self) -> Path:
        """The path of its program."""
        return program(self.rule)

    @property
    def code(self) -> str:
        """The identity of the program that its record should contain."""
        return identity.digest(self.program, self.kind.plugin_modules(self.recipe))

    @property
    def definitions(self) -> dict[str, str]:
        """Digests of the definitions that `code` covers, by `scripts/FILE: NAME`."""
        return identity.definitions(self.program, self.kind.plugin_modules(self.recipe))

    @property
    def work(self) -> str:
        """The work folder of a training, with the checkpoints from which it resumes."""
        return "/".join(["work", self.rule, *self.wildcards.values()])

    @property
    def log(self) -> str:
        """The file with its program's messages."""
        return "/".join(["logs", self.rule, *self.wildcards.values()]) + ".log"

    def ancestors(self) -> list[Step]:
        """Return all steps that its result depends on, each once and after those that it depends on."""
        ancestors: dict[Step, None] = {}

        def enter(step: Step) -> None:
            for earlier in step.after:
                if earlier not in ancestors:
                    enter(earlier)
                    ancestors[earlier] = None

        enter(self)
        return list(ancestors)

    @property
    def cell(self) -> grid.Cell | None:
        """The cell that its result belongs to; None if it belongs to several."""
        if self.rule not in OF_A_CELL:
            return None
        return grid.Cell(self.wildcards["model"], self.wildcards["size"], int(self.wildcards["gpus"]))

    def command(self, place: Callable[[str], str] = str, **settings: list[str]) -> list[str]:
        """Return the command line of its program.

        Args:
            place: maps each file of the workflow to the file to read or write instead.
            settings: values of the kind's settings.
        """
        files = file_lists.replace(self.kind, list(self.wildcards.values()), self.files)
        options = self.kind.options(
            {name: [place(file) for file in files[name]] for name in files},
            {name: place(self.kind.file(name, *self.wildcards.values())) for name in self.kind.writes},
        )
        parts = [part for name, values in (options | settings).items() for part in (option(name), *values)]
        return [str(self.program), "--recipe", canonical(self.recipe), *parts]


class Steps:
    """All steps of a grid; iterates over them, upstream first.

    Args:
        config: a completed configuration.
        read: returns the record in a file, or None.
    """

    def __init__(self, config: dict, read: Callable[[str], dict | None] = io.find_json):
        self._experiment = Experiment(config, read)
        self._recipe = cache(lambda kind, *values: kind.recipe(config, *values))
        # By the folder of the result, or by each file if the folder contains results of other steps.
        self._steps: dict[str, Step] = {}
        for kind in TARGETS:
            self._enter(kind.file("record"))

    def __iter__(self) -> Iterator[Step]:
        return iter(dict.fromkeys(self._steps.values()))

    def find(self, file: str) -> Step | None:
        """Return the step whose result a file belongs to; None if there is none."""
        while file and file not in self._steps:
            file = file.rpartition("/")[0]
        return self._steps.get(file)

    def successors(self) -> dict[Step, list[Step]]:
        """Return the steps that depend directly on each step; a step without any has no entry."""
        successors: dict[Step, list[Step]] = {}
        for step in self:
            for earlier in step.after:
                successors.setdefault(earlier, []).append(step)
        return successors

    def _enter(self, file: str) -> Step | None:
        """Return the step that writes a file, entered after those that it depends on; None for a file of the user."""
        origin = identify(file)
        if origin is None:
            return None
        kind, values = origin
        places = kind.files() if kind.single else [file.rpartition("/")[0]]
        if places[0] not in self._steps:
            wildcards = dict(zip(kind.wildcards, values, strict=True))
            files = kind.inputs(self._experiment, *values)
            after = tuple(dict.fromkeys(filter(None, map(self._enter, kind.recorded(files)))))
            recipe = self._recipe(kind, *(wildcards[name] for name in kind.recipe_wildcards))
            self._steps |= dict.fromkeys(places, Step(kind, wildcards, recipe, files, after))
        return self._steps[places[0]]


@cache
def program(rule: str) -> Path:
    """Return the program of a rule."""
    return SCRIPTS / f"{rule}.py"


def identify(file: str) -> tuple[Kind, list[str]] | None:
    """Return the kind of step that writes a file, and the values of its wildcards.

    Returns:
        None for a file of the user.
    """
    if file in MAKERS:
        return MAKERS[file], []
    match file.split("/"):
        case [top, rule, *values, _] if rule in KINDS:
            kind = KINDS[rule]
            if not kind.single and kind.folder.startswith(f"{top}/") and len(values) == len(kind.wildcards):
                return kind, values
    return None


def option(name: str) -> str:
    """Return the option of a program for an input, an output or a setting."""
    return f"--{name.replace('_', '-')}"
