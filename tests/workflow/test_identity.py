"""For every kind of change, what Snakemake plans is what could come out differently, and nothing else.

One small grid is really run. Then each row makes one change, and a dry run must plan exactly the jobs whose own result
depends on what was changed, and those that come of them.
"""

from __future__ import annotations

import copy
import fnmatch
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT, Workflow
from plans import Planner, jobs
from snakemake.utils import update_config

from gridlaw import code, language, record
from gridlaw.grid import size_name
from gridlaw.steps import FIGURES

pytestmark = pytest.mark.extended
OVERLAY = {
    "models": ["alpha", "beta"],
    "sizes": [0, "2k"],
    "gpus": [1, 2],
    "tasks": ["sentiment", "mine"],
    "seeds": {"pretrain": [1, 2], "finetune": [1, 2]},
    "exclude": [{"size": 0, "gpus": [2, 4]}],
    "corpus": "letters",
    "data": {"held_out_words": 500, "row_length": 32},
    "pretrain": {
        "batch_size": 8, "passes": 2, "warmup_tokens": 100, "learning_rate": 1.0e-3, "precision": "fp32",
        "decay_ratio": 0.5, "per_model": {"beta": {"schedule": "trunk", "passes": 1}},
    },
    "finetune": {"epochs": 1, "train_examples": [16, "all"], "precision": "fp32", "per_model": {}, "per_task": {}},
    "catalogue": {
        "models": {
            # alpha trains each size from the start, beta branches off a trunk.
            "alpha": {"model_type": "bert", "shape": {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2}},
            "beta": {
                "model_type": "roberta", "tokenizer": "bpe",
                "shape": {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2},
            },
            "gamma": {"model_type": "bert", "shape": {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2}},
        },
        "tokenizers": {"wordpiece": {"vocab_size": 600}, "bpe": {"vocab_size": 400}},
        "corpora": {"letters": {"source": "files", "files": ["data/*.txt"]}},
        "tasks": {
            "sentiment": {"train_size": 40, "validation_size": 40},
            "mine": {
                "source": "files", "files": {"train": "data/train.csv", "validation": "data/dev.csv"}, "text": ["body"],
                "metrics": ["f1", "accuracy"],
            },
        },
    },
}  # fmt: skip


def configuration() -> dict:
    whole = yaml.safe_load((ROOT / "config.yaml").read_text())
    # This grid's own overrides alone.
    whole["pretrain"]["per_model"], whole["finetune"]["per_model"] = {}, {}
    update_config(whole, copy.deepcopy(OVERLAY))
    return whole


# The grid by hand: its jobs, and what each is made from -------------------------------------------------------------------


def grid(config: dict) -> dict[str, set[str]]:
    """All jobs of a configuration, each with those that make what it reads."""
    corpus, counted = config["corpus"], config["data"]["tokenizer"]
    seeds, tasks, made = [int(seed) for seed in config["seeds"]["pretrain"]], config["tasks"], {}
    made[f"corpus {corpus}"] = set()
    made[f"segments {corpus}"] = {f"corpus {corpus}"}

    def pack(tokenizer):
        made[f"tokenizer {corpus} {tokenizer}"] = {f"segments {corpus}"}
        made[f"pack {corpus} {tokenizer}"] = {f"segments {corpus}", f"tokenizer {corpus} {tokenizer}"}
        return f"pack {corpus} {tokenizer}"

    for task in tasks:
        made[f"task {task}"] = set()
        made[f"baseline {task}"] = {f"task {task}"}
    made["aggregate"] = {f"baseline {task}" for task in tasks}
    for model in config["models"]:
        tokenizer = config["catalogue"]["models"][model].get("tokenizer", "wordpiece")
        own = config["pretrain"]["per_model"].get(model, {})
        trunk = own.get("schedule", config["pretrain"]["schedule"]) == "trunk"
        for size in map(size_name, config["sizes"]):
            counts = [int(gpus) for gpus in config["gpus"]]
            counts = [gpus for gpus in counts if not any(excluded(one, model, size, gpus) for one in config["exclude"])]
            if size != "0" and 1 in counts and len(counts) > 1 and config["pretrain"]["scaling"] == "strong":
                made[f"ranks {model} {size}"] = {f"pretrain {model} {size} {n} {m}" for n in counts for m in seeds}
                made["aggregate"].add(f"ranks {model} {size}")
            for gpus in counts:
                cell = f"{model} {size} {gpus}"
                for seed in seeds:
                    reads = {f"tokenizer {corpus} {tokenizer}", pack(tokenizer)}
                    if size != "0":
                        made[f"slice {corpus} {tokenizer} {size}"] = {pack(tokenizer), pack(counted)}
                        reads.add(f"slice {corpus} {tokenizer} {size}")
                    if size != "0" and trunk:
                        made[f"trunk {cell} {seed}"] = set(reads)
                        reads.add(f"trunk {cell} {seed}")
                    made[f"pretrain {cell} {seed}"] = reads
                    made["aggregate"].add(f"pretrain {cell} {seed}")
                if config["finetune"]["gpus"] == "all" or gpus in config["finetune"]["gpus"]:
                    runs = {f"finetune {cell} {seed} {task}" for seed in seeds for task in tasks}
                    for run in runs:
                        *_, seed, task = run.split()
                        made[run] = {f"pretrain {cell} {seed}", f"task {task}"}
                    made[f"score {cell}"] = runs
                    made["aggregate"].add(f"score {cell}")
    figures = {f"figure_{name}" for name in FIGURES}
    makers = {"laws.json": "laws", "decisions.json": "decisions"}
    made |= {f"figure_{name}": {makers.get(file, "aggregate") for file in files} for name, files in FIGURES.items()}
    packs = {job for job in made if job.startswith("pack ")}
    made |= {rule: {"aggregate", *packs} for rule in ("laws", "forecasts", "decisions")}
    made["report"] = {"aggregate", "laws", "forecasts", "decisions", *figures}
    made["latex"] = {"aggregate", "laws", "forecasts", "decisions"}
    made["all"] = {"report", "latex", *made["report"]}
    return made


def excluded(entry: dict, model: str, size: str, gpus: int) -> bool:
    values = {"model": model, "size": size, "gpus": gpus}
    listed = {axis: value if isinstance(value, list) else [value] for axis, value in entry.items()}
    listed |= {"size": [size_name(value) for value in listed.get("size", [size])]}
    return all(values[axis] in value for axis, value in listed.items())


def expected(before: dict, after: dict, touched: set[str]) -> set[str]:
    """Jobs to be planned: those that `touched` patterns match, new ones, those that read others than before; and so on."""
    old, new = grid(before), grid(after)
    found = {job for job in new if old.get(job) != new[job]}
    for pattern in touched:
        matching = fnmatch.filter(new, pattern)
        assert matching, f"{pattern} is no job"
        found |= {*matching}
    while more := {job for job, reads in new.items() if reads & found} - found:
        found |= more
    return found


# Rows -------------------------------------------------------------------------------------------------------------------


class Home:
    """A folder in which the grid was run: all of it is that of the real run until it is made one's own.

    Args:
        folder: a new one.
        origin: of the real run.
        snakefile: of the repository.
    """

    def __init__(self, folder: Path, origin: Path, snakefile: Path):
        self.folder, self.origin, self.snakefile = folder, origin, snakefile
        self.config = configuration()
        folder.mkdir()
        for path in origin.iterdir():
            (folder / path.name).symlink_to(path)

    def own(self, name: str) -> Path:
        """A copy of a folder of the real run, mtimes kept."""
        path = self.folder / name
        path.unlink()
        return Path(shutil.copytree(self.origin / name, path, symlinks=True))

    def edit(self, file: str, *changes: tuple[str, str]) -> None:
        """Edit a copy of the repository, which is as old as a new clone."""
        if self.snakefile.parent != self.folder / "clone":
            self.snakefile = Workflow(self.folder / "clone").folder / "Snakefile"
        path = self.folder / "clone" / file
        text = path.read_text()
        for old, new in changes:
            assert text.count(old) >= 1, f"{old} is not in {file}"
            text = text.replace(old, new, 1)
        path.write_text(text)

    def write(self) -> None:
        """Write the configuration."""
        file = self.folder / "config.yaml"
        file.unlink()
        file.write_text(yaml.safe_dump(self.config, sort_keys=False))

    def plan(self, planner: Planner) -> Future[str]:
        """Begin a dry run."""
        self.write()
        return planner.submit(self.snakefile, self.folder)


ROWS = {}
Change = Callable[[Home], None]


def row(name: str, change: Change, *touched: str) -> None:
    """A change, and patterns of the jobs whose own result it touches."""
    assert name not in ROWS, name
    ROWS[name] = change, touched


def setting(path: str, value: object) -> Change:
    """Sets one key of the configuration, given with dots."""

    def change(home: Home) -> None:
        *way, key = path.split(".")
        section = home.config
        for name in way:
            section = section.setdefault(name, {})
        assert section.get(key, "unset") != value, f"{path} is {value} already"
        section[key] = value

    return change


def spelling(path: str, value: object) -> Change:
    """Writes the value of a key in another way."""

    def change(home: Home) -> None:
        *way, key = path.split(".")
        section = home.config
        for name in way:
            section = section[name]
        section[key] = value

    return change


def together(*changes: Change) -> Change:
    def change(home: Home) -> None:
        for one in changes:
            one(home)

    return change


def editing(file: str, *changes: tuple[str, str]) -> Change:
    return lambda home: home.edit(file, *changes)


def writing(file: str, text: Callable[[str], str], age: float = 0) -> Change:
    """Rewrites a file of the user; a positive age in seconds makes it that much older than it was."""

    def change(home: Home) -> None:
        path = home.own("data") / file
        about = path.stat()
        path.write_text(text(path.read_text()))
        if age:
            os.utime(path, (about.st_atime - age, about.st_mtime - age))

    return change


SCHEMA = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text())


def keys(*definitions: str) -> set[str]:
    return {key for name in definitions for key in SCHEMA["$defs"][name]["properties"]}


def reversed_keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: reversed_keys(item) for key, item in reversed(value.items())}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


# Every hyper-parameter, with a value that the grid does not have.
SHARED = {
    "learning_rate": 2.0e-3, "batch_size": 4, "weight_decay": 0.2, "adam_beta2": 0.9, "max_grad_norm": 2.0, "dropout": 0.3,
    "precision": "bf16", "attention": "eager", "compile": True, "device_batch_size": 2,
}  # fmt: skip
PRETRAIN = SHARED | {
    "passes": 3, "schedule": "trunk", "warmup_tokens": "0.2k", "decay_ratio": 0.4, "decay_shape": "cosine",
    "mask_rate": 0.4,
}  # fmt: skip
FINETUNE = SHARED | {
    "epochs": 2, "schedule": "cosine", "warmup_ratio": 0.2, "max_length": 24, "train_examples": ["all"],
    "eval_batch_size": 8,
}  # fmt: skip
# What size 0 depends on, which trains nothing: the model that is made, and the measure of its loss.
AT_SIZE_0 = {"dropout", "precision", "attention", "device_batch_size"}


def test_no_hyper_parameter_is_forgotten():
    assert PRETRAIN.keys() == keys("optimisation", "pretrain")
    assert FINETUNE.keys() == keys("optimisation", "finetune")


for key, value in PRETRAIN.items():
    size = "*" if key in AT_SIZE_0 else "2k"
    trunk = [] if key == "decay_shape" else ["trunk beta *"]
    # Those two are beta's own.
    beta = [] if key in ("passes", "schedule") else [f"pretrain beta {size} *", *trunk]
    passes = [setting("pretrain.per_model.alpha.passes", 1)] if key == "schedule" else []
    row(f"pretrain.{key}", together(setting(f"pretrain.{key}", value), *passes), f"pretrain alpha {size} *", *beta)
    own = setting(f"pretrain.per_model.alpha.{key}", value)
    row(f"pretrain.per_model.alpha.{key}", together(own, *passes), f"pretrain alpha {size} *")
for key, value in FINETUNE.items():
    row(f"finetune.{key}", setting(f"finetune.{key}", value), "finetune *")
    row(f"finetune.per_task.mine.{key}", setting(f"finetune.per_task.mine.{key}", value), "finetune * mine")
    row(f"finetune.per_model.beta.{key}", setting(f"finetune.per_model.beta.{key}", value), "finetune beta *")

row("an override of the same value", setting("finetune.per_task.mine.epochs", 1))
row("an override of a task outside the grid", setting("finetune.per_task.cola.epochs", 9))
row("pretrain.held_out_mask_rate", setting("pretrain.held_out_mask_rate", 0.4), "pretrain *", "report")
row("pretrain.evaluations", setting("pretrain.evaluations", 4))
for key, (value, *touched) in {
    "forecast_sizes": (["9k"], "forecasts"),
    "budget_rank_hours": (9, "decisions"),
    "smallest_difference": ({"loss": 0.01}, "decisions"),
}.items():
    row(f"analysis.{key}", setting(f"analysis.{key}", value), *touched)
row("checkpoint_minutes", setting("checkpoint_minutes", 1))
# One rank has the same batch in both.
row(
    "pretrain.scaling",
    together(setting("pretrain.scaling", "weak"), setting("finetune.gpus", "all")),
    "pretrain * 2k 2 *",
    "trunk beta 2k 2 *",
)
row("finetune.gpus", setting("finetune.gpus", "all"))

DATA = {
    "tokenizer": ("bpe", []),
    "row_length": (24, ["pack *"]),
    "packing": ("continuous", ["pack *"]),
    "segment_words": (20, ["segments *"]),
    "held_out_words": (600, ["segments *"]),
    # Of the held-out choice, and of the shuffle of segments and of examples.
    "seed": (2, ["segments *", "task *"]),
}


def test_no_key_of_the_data_is_forgotten():
    assert DATA.keys() == SCHEMA["properties"]["data"]["properties"].keys()


for key, (value, touched) in DATA.items():
    row(f"data.{key}", setting(f"data.{key}", value), *touched)
for key, value in {"vocab_size": 500, "lowercase": False}.items():
    row(f"wordpiece.{key}", setting(f"catalogue.tokenizers.wordpiece.{key}", value), "tokenizer * wordpiece")
for key, value in {"vocab_size": 500, "lowercase": True, "algorithm": "wordpiece"}.items():
    row(f"bpe.{key}", setting(f"catalogue.tokenizers.bpe.{key}", value), "tokenizer * bpe")
for key, value in {
    "model_type": "electra", "initializer_range": 0.03, "config": {"hidden_act": "relu"}, "shape.num_hidden_layers": 2,
    "shape.hidden_size": 32, "shape.num_attention_heads": 1, "shape.intermediate_size": 32,
    "shape.max_position_embeddings": 100,
}.items():  # fmt: skip
    row(f"alpha.{key}", setting(f"catalogue.models.alpha.{key}", value), "pretrain alpha *")
row("alpha.tokenizer", setting("catalogue.models.alpha.tokenizer", "bpe"))
row("alpha.tokenizer written out", setting("catalogue.models.alpha.tokenizer", "wordpiece"))
row("alpha.shape.intermediate_size written out", setting("catalogue.models.alpha.shape.intermediate_size", 64))
row("a model outside the grid", setting("catalogue.models.gamma.shape.hidden_size", 64))
row("a task outside the grid", setting("catalogue.tasks.acceptability.train_size", 50))
row("a tokenizer outside the grid", setting("catalogue.tokenizers.other", {"algorithm": "bpe", "vocab_size": 300}))

row("corpus", setting("corpus", "toy"))
row("letters.documents", setting("catalogue.corpora.letters.documents", "line"), "corpus *")
row("letters.held_out_files", setting("catalogue.corpora.letters.held_out_files", ["data/b.txt"]), "corpus *")
row("letters.files", setting("catalogue.corpora.letters.files", ["data/a.txt"]), "corpus *")
row("letters.files written otherwise", setting("catalogue.corpora.letters.files", ["data/b.txt", "data/*.txt"]))
row("a corpus file's content", writing("a.txt", str.upper), "corpus *")
row("a corpus file's content, older than it was", writing("a.txt", str.upper, age=1e6), "corpus *")
row("a corpus file that is touched", writing("a.txt", str, age=-1e6))
row(
    "one more corpus file", lambda home: shutil.copy(home.own("data") / "a.txt", home.folder / "data/c.txt"), "corpus *"
)
row("one corpus file less", lambda home: (home.own("data") / "b.txt").unlink(), "corpus *")

for key, value in {
    "generator": "acceptability", "train_size": 50, "validation_size": 50, "seed": 2, "text": ["words"],
    "label": "truth", "train": "learn", "validation": ["dev"],
}.items():  # fmt: skip
    row(f"sentiment.{key}", setting(f"catalogue.tasks.sentiment.{key}", value), "task sentiment")
row(
    "sentiment.kind",
    together(
        setting("catalogue.tasks.sentiment.kind", "regression"),
        setting("catalogue.tasks.sentiment.metrics", ["pearson"]),
    ),
    "task sentiment",
)
# What shows tasks by their first metric, in the order of the tasks.
PANELS = ["figure_scores", "figure_seeds", "latex"]
METRICS = ["score *", *PANELS]
row("mine.metrics", setting("catalogue.tasks.mine.metrics", ["accuracy"]), "baseline mine", *METRICS)
row(
    "mine.metrics, reordered",
    setting("catalogue.tasks.mine.metrics", ["accuracy", "f1"]),
    *PANELS,
    "laws",
    "forecasts",
)
row("mine.glue", setting("catalogue.tasks.mine.glue", False), "aggregate")
row("a file of a split that is not used", setting("catalogue.tasks.mine.files.test", "data/dev.csv"))
for file in ("train.csv", "dev.csv"):
    row(f"mine's {file}", writing(file, lambda text: text.replace("0\n", "1\n", 1)), "task mine")
    row(f"mine's {file}, older", writing(file, lambda text: text.replace("0\n", "1\n", 1), age=1e6), "task mine")
    row(f"mine's {file}, touched", writing(file, str, age=-1e6))

# Axes. What is added is new, what is removed is missed by those that gather.
row("models: one more", setting("models", ["alpha", "beta", "gamma"]), "figure_*", "latex")
row("models: one less", setting("models", ["alpha"]), "figure_*", "latex")
row("models: reordered", setting("models", ["beta", "alpha"]), "aggregate", "figure_*", "latex")
row("sizes: one more", setting("sizes", [0, "2k", "3k"]))
row("sizes: a smaller one more", setting("sizes", [0, "1k", "2k"]))
row("sizes: one less", setting("sizes", [0]))
row("sizes: without 0", setting("sizes", ["2k"]))
row("sizes: reordered", setting("sizes", ["2k", 0]))
row("gpus: one more", setting("gpus", [1, 2, 4]))
row("gpus: one less", setting("gpus", [1]))
row("gpus: reordered", setting("gpus", [2, 1]))
row("tasks: one more", setting("tasks", ["sentiment", "mine", "acceptability"]), *METRICS)
row("tasks: one less", setting("tasks", ["sentiment"]), *METRICS)
row("tasks: reordered", setting("tasks", ["mine", "sentiment"]), *PANELS, "laws", "forecasts", "report")
row("seeds.pretrain: one more", setting("seeds.pretrain", [1, 2, 3]))
row("seeds.pretrain: one less", setting("seeds.pretrain", [1]))
row("seeds.pretrain: reordered", setting("seeds.pretrain", [2, 1]))
# One process makes all fine-tunings of a cell on a task, and their predictions are one table. One more or less is another
# table, so the job is planned; it finds what it has done in its work folder, and pays for what is new alone.
row("seeds.finetune: one more", setting("seeds.finetune", [1, 2, 3]), "finetune *")
row("seeds.finetune: one less", setting("seeds.finetune", [2]), "finetune *")
row("seeds.finetune: reordered", setting("seeds.finetune", [2, 1]))
row("train_examples: one more", setting("finetune.train_examples", [16, 32, "all"]), "finetune *")
row("train_examples: one less", setting("finetune.train_examples", [16]), "finetune *")
row("train_examples: reordered", setting("finetune.train_examples", ["all", 16]))
row("exclude: one more", setting("exclude", [{"size": 0, "gpus": [2, 4]}, {"model": "alpha", "size": 0}]))
row("exclude: written otherwise", setting("exclude", [{"size": ["0"], "gpus": 2}]))

# Spelling.
row("a size written out", setting("sizes", [0, 2000]))
row("a size in other units", setting("sizes", ["0", "0.002M"]))
row("a number without a point", spelling("pretrain.max_grad_norm", 1))
for path, value in {
    "finetune.epochs": 1.0, "pretrain.batch_size": 8.0, "data.row_length": 32.0, "gpus": [1.0, 2.0],
    "seeds.pretrain": [1.0, 2.0], "seeds.finetune": [1.0, 2.0], "finetune.train_examples": [16.0, "all"],
    "catalogue.models.alpha.shape.hidden_size": 16.0, "exclude": [{"size": 0.0, "gpus": [2.0, 4.0]}], "sizes": [0, 2000.0],
    "finetune.gpus": [1.0], "catalogue.tasks.sentiment.train_size": 40.0, "checkpoint_minutes": 5.0,
}.items():  # fmt: skip
    row(f"a whole number with a point: {path}", spelling(path, value))
row("the order of keys", lambda home: setattr(home, "config", reversed_keys(home.config)))


def swap(home: Home) -> None:
    section = home.config["finetune"]
    section["weight_decay"], section["warmup_ratio"] = section["warmup_ratio"], section["weight_decay"]


row("two values swapped", swap, "finetune *")


# Code.
row("a new clone", lambda home: home.edit("README.md", ("gridlaw", "gridlaw")))
row("a comment", editing("scripts/pretrain.py", ("def main", "# The main thing.\ndef main")))
row("a docstring", editing("scripts/gridlaw/masking.py", ('"""Mask rows.', '"""Hide some.')))
row("a docstring of a program", editing("scripts/finetune.py", ('"""Fine-tune one cell', '"""Tune one cell')))
row("a comment in a rule", editing("rules/finetune.smk", ("rule finetune", "# A rule.\nrule finetune")))
row("a comment in the schema", editing("schemas/config.schema.yaml", ("$defs:", "# What is meant.\n$defs:")))
row(
    "a description in the schema",
    editing("schemas/config.schema.yaml", ("peak learning rate", "highest learning rate")),
)
row("a comment in an environment", editing("envs/train.yaml", ("name:", "# All of it.\nname:")))
row("a figure's style", editing("scripts/gridlaw/plotting.py", ('"grid.alpha": 0.35', '"grid.alpha": 0.4')), "figure_*")
row("one figure", editing("scripts/figure_loss.py", ("linewidth=0.7", "linewidth=0.8")), "figure_loss")
row(
    "a metric",
    editing("scripts/gridlaw/metrics/classification.py", ("zero_division=0", "zero_division=1")),
    "score *",
    "baseline *",
)
row("a program", editing("scripts/segments.py", ("ROWS = 8192", "ROWS = 4096")), "segments *")
row("a function of pre-training", editing("scripts/gridlaw/masking.py", ("< 0.8", "< 0.7")), "pretrain *", "trunk *")
row("a function of fine-tuning", editing("scripts/gridlaw/modeling.py", ("classes == 1", "classes == 2")), "finetune *")
row(
    "a function of all trainings",
    editing("scripts/gridlaw/training.py", ("steps // 50", "steps // 40")),
    "pretrain *",
    "trunk *",
    "finetune *",
)
row(
    "a function of the tables",
    editing("scripts/gridlaw/intervals.py", ("(1 + level)", "(2 + level)")),
    "aggregate",
    "figure_loss",
    "figure_parameters",
    "latex",
)
row(
    "a function of all programs",
    editing("scripts/gridlaw/cli.py", ("RawDescriptionHelp", "RawTextHelp")),
    "[!a]*",
    "a[!l]*",
)
row(
    "how a configuration is validated",
    editing("scripts/gridlaw/config.py", ("is too small; it must be", "is small; it must be")),
)
row(
    "how a recipe is put together",
    editing("scripts/gridlaw/recipes.py", ("entry | words | local", "{**entry, **words, **local}")),
)
row("how a digest is made", editing("scripts/gridlaw/code.py", ("self._todo.pop()", "self._todo.pop(0)")))
row(
    "a default that a model has",
    editing("schemas/config.schema.yaml", ("default: 0.02}", "default: 0.03}")),
    "pretrain *",
    "trunk *",
)
row(
    "a command", editing("rules/finetune.smk", ("HF_HUB_OFFLINE=1", "HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1")), "finetune *"
)


# Folders.
FOLDERS = ("results", "resources", "work", "logs", "data", ".snakemake")


def moved(home: Home, scrambled: bool = False, provenance: bool = True) -> None:
    """All of it is another folder's now, with mtimes kept or, as an archive's or a plain copy's, with any."""
    for name in FOLDERS:
        home.own(name)
    if not provenance:
        shutil.rmtree(home.folder / ".snakemake")
    if scrambled:
        dice, now = random.Random(1), time.time()
        for path in sorted(home.folder.rglob("*")):
            os.utime(path, (now, now - dice.randrange(10**6)), follow_symlinks=False)


def without_provenance(**moves) -> Change:
    return lambda home: moved(home, provenance=False, **moves)


row("moved", moved)
row("moved, mtimes scrambled", lambda home: moved(home, scrambled=True))
LEARN = setting("pretrain.per_model.alpha.learning_rate", 5.0e-3)
row(
    "moved, mtimes scrambled, and a change",
    together(lambda home: moved(home, scrambled=True), LEARN),
    "pretrain alpha 2k *",
)
row("moved without .snakemake", without_provenance())
row("moved without .snakemake, mtimes scrambled", without_provenance(scrambled=True))
row("moved without .snakemake, and a change", together(without_provenance(), LEARN), "pretrain alpha 2k *")
row(
    "moved without .snakemake, mtimes scrambled, and a change",
    together(without_provenance(scrambled=True), LEARN),
    "pretrain alpha 2k *",
)


def deleting(*patterns: str) -> Change:
    def change(home: Home) -> None:
        for name in {pattern.partition("/")[0] for pattern in patterns}:
            home.own(name)
        found = [path for pattern in patterns for path in home.folder.glob(pattern)]
        assert found
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


row("deleted: rows", deleting("resources/pack/*/*/*.bin"))
row("deleted: all that was fetched or packed", deleting("resources/*"))
row("deleted: models", deleting("results/pretrain/*/*/*/*/model"))
row("deleted: a trunk's states", deleting("results/trunk/*/*/*/*/state"))
row("deleted: predictions", deleting("results/finetune/*/*/*/*/*/predictions.parquet"))
# What is made again could be another: rows are made for the new size, and those that read the old ones come after.
row(
    "deleted: rows, and one more size",
    together(deleting("resources/pack/*/*/*.bin"), setting("sizes", [0, "2k", "3k"])),
    "pack *",
)
row("deleted: work", deleting("work"))
row("deleted: logs", deleting("logs"))
row("deleted: a figure", deleting("results/figures/loss.png"), "figure_loss")
row("deleted: a table", deleting("results/runs.csv"), "aggregate")


# The first process of each program, and its first rank, note the functions that they enter.
WATCH = """
import inspect, os, sys, threading
scripts, notes = os.environ["SCRIPTS"], os.environ["NOTES"]
program = next((argument for argument in sys.orig_argv[1:] if argument.startswith(scripts)), None)
try:
    name = f"{os.path.basename(program or '')} {'RANK' in os.environ}"
    out = program and os.open(os.path.join(notes, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
except FileExistsError:
    out = None
seen = set()
def enter(frame, event, argument):
    code = frame.f_code
    own = code.co_filename.startswith(scripts) and code.co_filename.endswith(".py")
    # The body of a class is no function, and what is in a template no module.
    if own and code.co_flags & inspect.CO_OPTIMIZED and code not in seen:
        seen.add(code)
        os.write(out, f"{os.path.relpath(code.co_filename, scripts)}: {code.co_qualname.partition('.')[0]}\\n".encode())
if out is not None:
    sys.settrace(enter)
    threading.settrace(enter)
"""


# Runs -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return Workflow(tmp_path_factory.mktemp("clone with space"))


def run(clone: Workflow, folder: Path, *targets: str, snakefile: Path | str = "Snakefile", **environment: str) -> None:
    arguments = ["--cores", "2", "--snakefile", str(snakefile), "--directory", str(folder)]
    done = clone.snakemake(*arguments, *targets, environment=environment)
    logs = "".join(path.read_text() for path in (folder / "logs").rglob("*.log"))
    assert done.returncode == 0, done.stderr + logs


@pytest.fixture(scope="module")
def watched(clone, tmp_path_factory):
    """The folder of the real run, and the functions of the project that each program entered."""
    folder = tmp_path_factory.mktemp("origin")
    (folder / "data").mkdir()
    for seed, name in enumerate(("a.txt", "b.txt")):
        (folder / "data" / name).write_text("\n\n".join(language.documents(seed, 4000)))
    for name in ("train.csv", "dev.csv"):
        rows = [{"body": f"text {number % 7}", "label": number % 2} for number in range(40)]
        pd.DataFrame(rows).to_csv(folder / "data" / name, index=False)
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration(), sort_keys=False))
    watch = tmp_path_factory.mktemp("watch")
    (watch / "sitecustomize.py").write_text(WATCH)
    (watch / "notes").mkdir()
    run(clone, folder, PYTHONPATH=str(watch), NOTES=str(watch / "notes"), SCRIPTS=str(clone.folder / "scripts"))
    entered = {}
    for path in (watch / "notes").iterdir():
        entered.setdefault(path.name.split()[0], set()).update(path.read_text().splitlines())
    return folder, entered


@pytest.fixture(scope="module")
def origin(watched):
    return watched[0]


@pytest.fixture(scope="module")
def plans(request, clone, origin, tmp_path_factory):
    """Dry runs of the rows that are tested, by name, begun beforehand."""
    planner, folder, begun = Planner(), tmp_path_factory.mktemp("rows"), {}
    names = [item.callspec.params["name"] for item in request.session.items if "plans" in item.fixturenames]
    for number, name in enumerate(names):
        home = Home(folder / str(number), origin, clone.folder / "Snakefile")
        ROWS[name][0](home)
        begun[name] = home, home.plan(planner)
    yield begun
    planner.pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", ROWS)
def test_what_is_planned(plans, name):
    home, output = plans[name]
    assert jobs(output.result()) == expected(configuration(), home.config, {*ROWS[name][1]})


def test_whatever_a_program_runs_is_among_its_definitions(watched, clone):
    rules = "".join(path.read_text() for path in (clone.folder / "rules").glob("*.smk"))
    names = [*re.findall(r"^rule (\w+):", rules, re.M), *(f"figure_{name}" for name in FIGURES)]
    programs = {f"{name}.py": clone.folder / f"scripts/{name}.py" for name in names}
    # Nothing in this grid is released.
    assert watched[1].keys() == programs.keys() - {"checkpoint.py"}
    for name, entered in watched[1].items():
        functions = {f"scripts/{one}" for one in entered if "<" not in one and not one.startswith("gridlaw/code.py")}
        assert f"scripts/{name}: main" in functions
        assert functions <= code.definitions(programs[name]).keys()


# A few changes are run -----------------------------------------------------------------------------------------------------


def digests(folder: Path) -> dict[str, str]:
    """What the results are: all files but records, which tell the time and are made from the results."""
    files = [path for path in (folder / "results").rglob("*") if path.is_file()]
    names = {
        str(path.relative_to(folder)): path for path in files if path.suffix != ".json" or path.name == "manifest.json"
    }
    return {name: record.sha256(path) for name, path in names.items()}


def changed(clone: Workflow, home: Home, *targets: str) -> set[str]:
    """Results that a run makes otherwise than before; all others must be the same to the last byte."""
    for name in FOLDERS:
        if (home.folder / name).is_symlink():
            home.own(name)
    before = digests(home.folder)
    home.write()
    run(clone, home.folder, *targets, snakefile=home.snakefile)
    after = digests(home.folder)
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.fixture
def home(origin, clone, tmp_path):
    return Home(tmp_path / "home", origin, clone.folder / "Snakefile")


def test_a_figures_style_changes_figures_alone(clone, home, origin):
    home.edit("scripts/gridlaw/plotting.py", ('MARKERS = "os', 'MARKERS = "so'))
    targets = "results/figures/scores.png", "results/figures/costs.png", "results/runs.csv"
    assert changed(clone, home, *targets) == {f"results/figures/scores{suffix}" for suffix in (".png", ".svg", ".pdf")}


def test_a_metric_changes_scores_and_what_comes_of_them(clone, home):
    setting("catalogue.tasks.mine.metrics", ["f1", "accuracy", "precision"])(home)
    found = changed(clone, home, "results/figures/scores.png", "results/figures/loss.png")
    assert {"results/scores.csv", "results/score/alpha/0/1/scores.csv", "results/baseline/mine/scores.csv"} <= found
    assert "results/figures/scores.png" in found
    assert not [name for name in found if name.startswith(("results/pretrain", "results/finetune", "results/trunk"))]
    assert not found & {"results/runs.csv", "results/baseline/sentiment/scores.csv", "results/figures/loss.png"}


def test_one_tasks_learning_rate(clone, home):
    """Of the planned jobs some are run: theirs are other results, nothing else is, and the rest is still planned."""
    setting("finetune.per_task.mine.learning_rate", 5.0e-2)(home)
    runs = [f"results/finetune/alpha/0/1/{seed}/mine" for seed in (1, 2)]
    found = changed(clone, home, "results/score/alpha/0/1/scores.csv")
    assert found == {
        "results/score/alpha/0/1/scores.csv",
        *(f"{run}/{file}" for run in runs for file in ("predictions.parquet", "manifest.json")),
    }
    done = {"finetune alpha 0 1 1 mine", "finetune alpha 0 1 2 mine", "score alpha 0 1"}
    planner = Planner()
    left = jobs(home.plan(planner).result())
    planner.pool.shutdown()
    assert left == expected(configuration(), home.config, {"finetune * mine"}) - done
