"""The steps of a grid: every result that its workflow makes, the recipe it should have, and what it is made from.

What Snakemake knows from rules and wildcards, for those who ask without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gridlaw import files, grid, identity, io, layout, recipes

SCRIPTS = Path(__file__).resolve().parents[1]
TRAININGS = ("trunk", "pretrain", "finetune")
# Steps that make one cell of the grid.
OF_A_CELL = (*TRAININGS, "score")
# Steps whose results are in resources/.
RESOURCES = {"corpus", "segments", "tokenizer", "checkpoint", "pack", "slice", "task"}
# Results that have no folder of their own: the files of each, its record last.
TABLES = ("runs", "curves", "scores", "summary", "baselines", "attempts")
# Figures in the order in which they are read, and what each is drawn from.
FIGURES = {
    "scores": ("summary.csv", "baselines.csv"),
    "loss": ("runs.csv",),
    "laws": ("fits.npz",),
    "curves": ("curves.csv", "laws.json"),
    "parameters": ("runs.csv", "laws.json"),
    "transfer": ("laws.json",),
    "front": ("runs.csv", "summary.csv"),
    "budget": ("decisions.json",),
    "throughput": ("runs.csv",),
    "pairs": ("decisions.json",),
    "seeds": ("scores.csv",),
    "holdout": ("runs.csv", "laws.json"),
    "residuals": ("runs.csv", "laws.json"),
    "estimates": ("laws.json",),
    "costs": ("runs.csv", "decisions.json"),
}
# LaTeX tables.
LATEX = ("scores", "loss", "laws", "forecasts")
FILES = {
    "aggregate": [
        *(f"results/{name}.{kind}" for name in TABLES for kind in ("csv", "parquet")),
        "results/aggregate.json",
    ],
    "laws": ["results/laws.csv", "results/fits.npz", "results/laws.json"],
    "forecasts": ["results/forecasts.csv", "results/forecasts.json"],
    "decisions": ["results/next.yaml", "results/decisions.json"],
    "report": ["results/report.html", "results/report.json"],
    "latex": [*(f"results/latex/{name}.tex" for name in LATEX), "results/latex.json"],
    **{
        f"figure_{name}": [f"results/figures/{name}.{kind}" for kind in ("png", "svg", "pdf", "csv", "json")]
        for name in FIGURES
    },
}
# Steps that nothing is made from.
TARGETS = ("report", "latex")
RULES = {file: rule for rule, files in FILES.items() for file in files}


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One result of the workflow.

    Args:
        rule: the rule that makes it, and its program's name.
        wildcards: values of the rule's wildcards, in the order of the path.
        record: path of its record, which is there when the result is whole.
        recipe: what its record would repeat, were it made now.
        inputs: files whose digests its record would hold.
        after: the steps that make these; none for the user's own files.
    """

    rule: str
    wildcards: dict[str, str]
    record: str
    recipe: dict
    inputs: tuple[str, ...]
    after: tuple[Step, ...]

    @property
    def folder(self) -> str:
        """Where its result lies."""
        return self.record.rpartition("/")[0]

    @property
    def name(self) -> str:
        """What a person calls it: its rule, and the values that tell it apart."""
        return " ".join([self.rule, *self.wildcards.values()])

    @property
    def program(self) -> Path:
        """The program that makes it."""
        return program(self.rule)

    @property
    def code(self) -> str:
        """Identity of the program, as the record would hold it."""
        return identity.digest(self.program)

    @property
    def definitions(self) -> dict[str, str]:
        """Digests of the definitions behind `code`, by `scripts/FILE: NAME`."""
        return identity.definitions(self.program)

    @property
    def work(self) -> str:
        """Where a training keeps what it would go on from."""
        return "/".join(["work", self.rule, *self.wildcards.values()])

    @property
    def log(self) -> str:
        """Where its program's messages go."""
        return "/".join(["logs", self.rule, *self.wildcards.values()]) + ".log"

    def ancestors(self) -> list[Step]:
        """All steps that its result comes from, each once and after its own ancestors."""
        found: dict[Step, None] = {}

        def enter(step: Step) -> None:
            for earlier in step.after:
                if earlier not in found:
                    enter(earlier)
                    found[earlier] = None

        enter(self)
        return list(found)

    @property
    def cell(self) -> grid.Cell | None:
        """The cell that it belongs to, if to one only."""
        if self.rule not in OF_A_CELL:
            return None
        return grid.Cell(self.wildcards["model"], self.wildcards["size"], int(self.wildcards["gpus"]))


@cache
def program(rule: str) -> Path:
    """The program of a rule."""
    return SCRIPTS / f"{rule}.py"


class Steps:
    """All steps of a grid; iterates over them, upstream first.

    Args:
        config: a completed configuration.
        read: gives the record in a file, or None.
    """

    def __init__(self, config: dict, read: Callable[[str], dict | None] = io.find_json):
        self._inputs = _Inputs(config, read)
        self._recipe = cache(lambda rule, *values: getattr(recipes, rule)(config, *values))
        # By its folder, or by each of its files where it has none.
        self._steps: dict[str, Step] = {}
        for target in TARGETS:
            self._enter(FILES[target][-1])

    def __iter__(self) -> Iterator[Step]:
        return iter(dict.fromkeys(self._steps.values()))

    def of(self, file: str) -> Step | None:
        """The step whose result a file belongs to."""
        while file and file not in self._steps:
            file = file.rpartition("/")[0]
        return self._steps.get(file)

    def successors(self) -> dict[Step, list[Step]]:
        """The steps that are made from each step's result directly; a step without any has no entry."""
        found: dict[Step, list[Step]] = {}
        for step in self:
            for earlier in step.after:
                found.setdefault(earlier, []).append(step)
        return found

    def _enter(self, file: str) -> Step | None:
        """The step that makes a file, entered after those that it is made from; None for a file of the user."""
        found = maker(file)
        if found is None:
            return None
        rule, values = found
        places = FILES.get(rule, [file.rpartition("/")[0]])
        if places[0] not in self._steps:
            inputs = tuple(dict.fromkeys(DRAWN_FROM.get(rule) or getattr(self._inputs, rule)(*values)))
            after = tuple(dict.fromkeys(filter(None, map(self._enter, inputs))))
            wildcards = dict(zip(WILDCARDS[rule], values, strict=True))
            recipe = self._recipe(rule, *(wildcards[name] for name in _arguments(getattr(recipes, rule))))
            at = places[-1] if rule in FILES else f"{places[0]}/record.json"
            self._steps |= dict.fromkeys(places, Step(rule, wildcards, at, recipe, inputs, after))
        return self._steps[places[0]]


def maker(file: str) -> tuple[str, list[str]] | None:
    """The rule that makes a file which records name, and the values of its wildcards; None for a file of the user."""
    if file in RULES:
        return RULES[file], []
    match file.split("/"):
        case ["resources" | "results", rule, *values, _] if len(values) == len(WILDCARDS.get(rule, "")) > 0:
            return rule, values
    return None


class _Inputs:
    """What each rule is made from: its method takes its wildcards and gives the inputs that records name.

    Those of figures are in `DRAWN_FROM`.
    """

    def __init__(self, config: dict, read: Callable[[str], dict | None]):
        self._config, self._read = config, read
        self._cells = list(grid.cells(config))

    def corpus(self, corpus: str) -> list[str]:
        keys = ("files", "held_out_files")
        return [file for key in keys for file in files.find_corpus_files(self._config, corpus, key)]

    def segments(self, corpus: str) -> list[str]:
        return [f"resources/corpus/{corpus}/manifest.json"]

    def tokenizer(self, corpus: str, tokenizer: str) -> list[str]:
        return [f"resources/segments/{corpus}/manifest.json"]

    def checkpoint(self, model: str) -> list[str]:
        return files.find_checkpoint_files(self._config["catalogue"]["models"][model]["pretrained"])

    def pack(self, corpus: str, tokenizer: str) -> list[str]:
        folder = layout.tokenizer_folder(self._config, tokenizer)
        return [f"resources/segments/{corpus}/manifest.json", f"{folder}/manifest.json"]

    def slice(self, corpus: str, tokenizer: str, size: str) -> list[str]:
        counted_in = self._config["data"]["tokenizer"]
        return sorted(f"resources/pack/{corpus}/{name}/manifest.json" for name in {tokenizer, counted_in})

    def task(self, task: str) -> list[str]:
        return list(files.find_task_files(self._config, task).values())

    def trunk(self, model: str, size: str, gpus: str, seed: str) -> list[str]:
        before = layout.trunk_before(self._config, model, size, gpus, seed, self._cells, self._read)
        state = [f"results/trunk/{model}/{before}/{gpus}/{seed}/manifest.json"] if before else []
        return [*self._network(model, size), *state]

    def pretrain(self, model: str, size: str, gpus: str, seed: str) -> list[str]:
        pack = [f"{layout.pack_folder(self._config, model)}/manifest.json"] if self._config["corpus"] else []
        branches = layout.shares_trunk(self._config, model, size)
        state = [f"results/trunk/{model}/{size}/{gpus}/{seed}/manifest.json"] if branches else []
        return [*pack, *self._network(model, size), *state]

    def _network(self, model: str, size: str) -> list[str]:
        folder = layout.tokenizer_folder(self._config, recipes.tokenizer_of(self._config, model))
        text = [layout.slice_manifest(self._config, model, size)] if grid.parse_size(size) != 0 else []
        return [*text, f"{folder}/manifest.json"]

    def ranks(self, model: str, size: str) -> list[str]:
        return [
            f"results/pretrain/{model}/{size}/{gpus}/{seed}/{file}"
            for seed in sorted(self._config["seeds"]["pretrain"])
            for gpus in grid.compared(self._config, model, size)
            for file in ("manifest.json", "record.json")
        ]

    def finetune(self, model: str, size: str, gpus: str, seed: str, task: str) -> list[str]:
        return [f"results/pretrain/{model}/{size}/{gpus}/{seed}/manifest.json", f"resources/task/{task}/manifest.json"]

    def score(self, model: str, size: str, gpus: str) -> list[str]:
        return [
            f"results/finetune/{model}/{size}/{gpus}/{seed}/{task}/manifest.json"
            for seed in sorted(self._config["seeds"]["pretrain"])
            for task in sorted(self._config["tasks"])
        ]

    def baseline(self, task: str) -> list[str]:
        return [f"resources/task/{task}/manifest.json"]

    def aggregate(self) -> list[str]:
        seeds = self._config["seeds"]["pretrain"]
        cells = ["/".join(map(str, cell)) for cell in self._cells]
        scored = sorted({cell._replace(gpus=gpus) for cell, gpus in grid.scored(self._config).items()})
        scored = ["/".join(map(str, cell)) for cell in scored]
        return [
            *(f"results/pretrain/{cell}/{seed}/record.json" for cell in cells for seed in seeds),
            *(f"results/ranks/{model}/{size}/ranks.csv" for model, size in recipes.aggregate(self._config)["compared"]),
            *(f"results/score/{cell}/{file}" for cell in scored for file in ("scores.csv", "record.json")),
            *(f"results/baseline/{task}/scores.csv" for task in self._config["tasks"]),
        ]

    def laws(self) -> list[str]:
        names = ("runs", "curves", "summary", "baselines")
        return [*(f"results/{name}.csv" for name in names), *self._packs()]

    def forecasts(self) -> list[str]:
        return ["results/runs.csv", "results/fits.npz", *self._packs()]

    def decisions(self) -> list[str]:
        return ["results/runs.csv", "results/scores.csv", "results/fits.npz", *self._packs()]

    def _packs(self) -> list[str]:
        packs = {layout.pack_folder(self._config, model) for model in self._config["models"]}
        return [f"{pack}/manifest.json" for pack in sorted(packs)] if self._config["corpus"] else []

    def report(self) -> list[str]:
        names = ("runs.csv", "summary.csv", "attempts.csv", "laws.json", "forecasts.csv", "decisions.json")
        return [*(f"results/{name}" for name in names), *(f"results/figures/{name}.svg" for name in FIGURES)]

    def latex(self) -> list[str]:
        return [
            f"results/{name}" for name in ("runs.csv", "summary.csv", "laws.json", "forecasts.csv", "decisions.json")
        ]


@cache
def _arguments(function: Callable) -> tuple[str, ...]:
    """Names of a function's arguments but the first."""
    return tuple(inspect.signature(function).parameters)[1:]


# Inputs of the rules of figures, which have no wildcards.
DRAWN_FROM = {f"figure_{name}": [f"results/{file}" for file in files] for name, files in FIGURES.items()}
# Of every rule whose result has a record.
WILDCARDS = {
    rule: _arguments(of) for rule, of in vars(_Inputs).items() if inspect.isfunction(of) and not rule.startswith("_")
} | dict.fromkeys(DRAWN_FROM, ())
