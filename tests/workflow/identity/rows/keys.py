"""Changes of the configuration: its keys, their spelling, the axes of the grid."""

from __future__ import annotations

from world import GRID

from ..home import Home
from . import Change, Rows, together

ROWS = Rows()
row = ROWS.enter


def setting(path: str, value: object) -> Change:
    """Set one key, given with dots, to another value."""

    def change(home: Home) -> None:
        *way, key = path.split(".")
        section = home.config
        for name in way:
            section = section.setdefault(name, {})
        assert section.get(key, "unset") != value, f"{path} is {value} already"
        section[key] = value

    return change


def spelling(path: str, value: object) -> Change:
    """Write the value of a key in another way."""

    def change(home: Home) -> None:
        *way, key = path.split(".")
        section = home.config
        for name in way:
            section = section[name]
        section[key] = value

    return change


def swapping(section: str, one: str, other: str) -> Change:
    """Give each of two keys of a section the value of the other."""

    def change(home: Home) -> None:
        values = home.config[section]
        values[one], values[other] = values[other], values[one]

    return change


def reversing_keys(home: Home) -> None:
    """Write all mappings in reverse order."""

    def backwards(value: object) -> object:
        if isinstance(value, dict):
            return {key: backwards(item) for key, item in reversed(value.items())}
        return [backwards(item) for item in value] if isinstance(value, list) else value

    home.config = backwards(home.config)


# Every hyper-parameter, with a value that the grid does not have.
SHARED = {
    "learning_rate": 2.0e-3, "batch_size": 4, "weight_decay": 0.2, "adam_beta2": 0.9, "max_grad_norm": 2.0, "dropout": 0.3,
    "precision": "bf16", "attention": "eager", "compile": True, "device_batch_size": 2,
}  # fmt: skip
PRETRAIN = SHARED | {
    "passes": 3, "schedule": "trunk", "warmup_tokens": "0.2k", "decay_ratio": 0.4, "decay_shape": "cosine",
    "mask_rate": 0.3,
}  # fmt: skip
FINETUNE = SHARED | {
    "epochs": 2, "schedule": "cosine", "warmup_ratio": 0.2, "max_length": 24, "train_examples": ["all"],
    "eval_batch_size": 8,
}  # fmt: skip
# What size 0 depends on, which trains nothing: the model that is made, and the measure of its loss.
AT_SIZE_0 = {"dropout", "precision", "attention", "device_batch_size"}

for key, value in PRETRAIN.items():
    size = "*" if key in AT_SIZE_0 else "2k"
    trunk = [] if key == "decay_shape" else ["trunk beta *"]
    # Those three are beta's own.
    beta = [] if key in ("passes", "schedule", "dropout") else ["pretrain beta *", *trunk]
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
row("fork_programs", setting("fork_programs", False))
# One rank has the same batch in both.
row(
    "pretrain.scaling",
    together(setting("pretrain.scaling", "weak"), setting("finetune.gpus", "all")),
    "pretrain alpha 2k 2 *",
)
row("finetune.gpus", setting("finetune.gpus", "all"))

DATA = {
    "tokenizer": ("bpe", []),
    "row_length": (24, ["pack *"]),
    "packing": ("continuous", ["pack *"]),
    "segment_words": (20, ["segments *"]),
    "held_out_words": (600, ["segments *"]),
    # The seed of the held-out choice, and of the shuffles of segments and examples.
    "seed": (2, ["segments *", "task *"]),
}

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
row("letters.held_out_files", setting("catalogue.corpora.letters.held_out_files", ["data/held_out/c.txt"]), "corpus *")
row("letters.files", setting("catalogue.corpora.letters.files", ["data/a.txt"]), "corpus *")
row("letters.files written otherwise", setting("catalogue.corpora.letters.files", ["data/b.txt", "data/*.txt"]))

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

# Axes. What is added is new, what is removed is missed by those that gather.
row("models: one more", setting("models", ["alpha", "beta", "gamma"]), "figure_*", "latex")
row("models: one less", setting("models", ["alpha"]), "figure_*", "latex")
row("models: reordered", setting("models", ["beta", "alpha"]), "aggregate", "figure_*", "latex")
row("sizes: one more", setting("sizes", [0, "2k", "3k", "4k"]))
row("sizes: a smaller one more", setting("sizes", [0, "1k", "2k", "4k"]))
row("sizes: one less", setting("sizes", [0, "2k"]))
row("sizes: without 0", setting("sizes", ["2k", "4k"]))
row("sizes: reordered", setting("sizes", ["4k", "2k", 0]))
row("gpus: one more", setting("gpus", [1, 2, 4]))
row("gpus: one less", setting("gpus", [1]))
row("gpus: reordered", setting("gpus", [2, 1]))
row("tasks: one more", setting("tasks", ["sentiment", "similarity", "mine", "acceptability"]), *METRICS)
row("tasks: one less", setting("tasks", ["sentiment", "similarity"]), *METRICS)
row("tasks: reordered", setting("tasks", ["mine", "sentiment", "similarity"]), *PANELS, "laws", "forecasts", "report")
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
row("exclude: one more", setting("exclude", [*GRID["exclude"], {"model": "alpha", "size": 0}]))
row("exclude: written otherwise", setting("exclude", [{"size": ["0"], "gpus": 2}, *GRID["exclude"][1:]]))

# Spelling.
row("a size written out", setting("sizes", [0, 2000, 4000]))
row("a size in other units", setting("sizes", ["0", "0.002M", "4k"]))
row("a number without a point", spelling("pretrain.max_grad_norm", 1))
for path, value in {
    "finetune.epochs": 1.0, "pretrain.batch_size": 8.0, "data.row_length": 32.0, "gpus": [1.0, 2.0],
    "seeds.pretrain": [1.0, 2.0], "seeds.finetune": [1.0, 2.0], "finetune.train_examples": [16.0, "all"],
    "catalogue.models.alpha.shape.hidden_size": 16.0, "sizes": [0, 2000.0, 4000.0],
    "exclude": [{"size": 0.0, "gpus": [2.0, 4.0]}, *GRID["exclude"][1:]],
    "finetune.gpus": [1.0], "catalogue.tasks.sentiment.train_size": 40.0, "checkpoint_minutes": 5.0,
}.items():  # fmt: skip
    row(f"a whole number with a point: {path}", spelling(path, value))
row("the order of keys", reversing_keys)


row("two values swapped", swapping("finetune", "weight_decay", "warmup_ratio"), "finetune *")
