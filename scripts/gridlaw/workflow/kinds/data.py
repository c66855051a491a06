"""From a corpus to slices of token rows, and from a task to examples."""

from __future__ import annotations

from gridlaw.config import grid, hyperparameters, user_files
from gridlaw.workflow.experiment import Experiment
from gridlaw.workflow.kind import Kind, Output, Setting, content, local_files, result
from gridlaw.workflow.recipe import Recipe

THREADS = Setting("processes or threads to use (default: 1)", "{threads}", type=int, default=1)


def _corpus_recipe(config: dict, corpus: str) -> Recipe:
    entry = config["catalogue"]["corpora"][corpus]
    keys = {"files", "held_out_files"} & entry.keys()
    local = {key: user_files.digest(user_files.find_corpus_files(config, corpus, key)) for key in keys}
    words = {"words": grid.parse_size(entry["words"])} if "words" in entry else {}
    return Recipe(entry | words | local, {"": f"catalogue.corpora.{corpus}.*"})


def _corpus_inputs(experiment: Experiment, corpus: str) -> dict[str, list[str]]:
    return {key: user_files.find_corpus_files(experiment.config, corpus, key) for key in ("files", "held_out_files")}


CORPUS = Kind(
    name="corpus",
    folder="resources/corpus/{corpus}",
    reads={
        "files": local_files("text file with the names of the files to train on, one a line (source: files)"),
        "held_out_files": local_files("the same for the files to hold documents out from"),
    },
    writes={
        "documents": Output("documents.parquet", "the corpus, Parquet"),
        "manifest": Output("manifest.json", "description of the corpus, JSON"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    # It may fetch from the hub.
    environment="",
    recipe=_corpus_recipe,
    inputs=_corpus_inputs,
)


def _segments_recipe(config: dict) -> Recipe:
    return Recipe.take(config, "data", ("segment_words", "held_out_words", "seed"))


def _segments_inputs(experiment: Experiment, corpus: str) -> dict[str, list[str]]:
    return {"documents": [CORPUS.file("documents", corpus)], "corpus": [CORPUS.file("manifest", corpus)]}


SEGMENTS = Kind(
    name="segments",
    folder="resources/segments/{corpus}",
    reads={
        "documents": content("the corpus, Parquet"),
        "corpus": result("manifest of the corpus, JSON"),
    },
    writes={
        "train": Output("train.parquet", "training segments, Parquet"),
        "held_out": Output("held_out.parquet", "held-out segments, Parquet"),
        "manifest": Output("manifest.json", "description of the segments, JSON"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    settings={"threads": THREADS},
    recipe=_segments_recipe,
    inputs=_segments_inputs,
)


def _tokenizer_recipe(config: dict, tokenizer: str) -> Recipe:
    return Recipe(config["catalogue"]["tokenizers"][tokenizer], {"": f"catalogue.tokenizers.{tokenizer}.*"})


def _tokenizer_inputs(experiment: Experiment, corpus: str, tokenizer: str) -> dict[str, list[str]]:
    return {
        "segments": [SEGMENTS.file("train", corpus)],
        "segments_manifest": [SEGMENTS.file("manifest", corpus)],
    }


TOKENIZER = Kind(
    name="tokenizer",
    folder="resources/tokenizer/{corpus}/{tokenizer}",
    reads={
        "segments": content("training segments, Parquet"),
        "segments_manifest": result("manifest of the segments, JSON"),
    },
    writes={
        "folder": Output("tokenizer.json", "folder of the tokenizer", folder=True),
        "manifest": Output("manifest.json", "description of the tokenizer, JSON"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    environment="HF_HUB_OFFLINE=1 RAYON_NUM_THREADS={threads}",
    recipe=_tokenizer_recipe,
    inputs=_tokenizer_inputs,
)


def _checkpoint_recipe(config: dict, model: str) -> Recipe:
    entry, keys = config["catalogue"]["models"][model], {"": f"catalogue.models.{model}.*"}
    if not user_files.is_local(entry["pretrained"]):
        return Recipe({name: value for name, value in entry.items() if name != "model_type"}, keys)
    local = user_files.digest(user_files.find_checkpoint_files(entry["pretrained"]))
    return Recipe({"pretrained": entry["pretrained"], "files": local}, keys)


def _checkpoint_inputs(experiment: Experiment, model: str) -> dict[str, list[str]]:
    return {"files": user_files.find_checkpoint_files(experiment.config["catalogue"]["models"][model]["pretrained"])}


LENGTHS = Setting(
    "longest sequences that each released model is to read, by the keys that they come from, as JSON (default: none)",
    "{lengths}",
    default="{}",
)
CHECKPOINT = Kind(
    name="checkpoint",
    folder="resources/checkpoint/{model}",
    reads={"files": local_files("files of a local checkpoint", passed=False)},
    writes={
        "folder": Output("config.json", "folder of the checkpoint", folder=True, recorded=False),
        "manifest": Output("manifest.json", "description of the checkpoint, JSON"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    settings={"lengths": LENGTHS},
    # It may fetch from the hub.
    environment="",
    recipe=_checkpoint_recipe,
    inputs=_checkpoint_inputs,
)


def tokenizer_manifest(config: dict, tokenizer: str) -> str:
    """Return the manifest of a tokenizer, which was trained on the corpus or belongs to a released model."""
    if hyperparameters.is_released(config, tokenizer):
        return CHECKPOINT.file("manifest", tokenizer)
    return TOKENIZER.file("manifest", config["corpus"], tokenizer)


def _pack_recipe(config: dict) -> Recipe:
    return Recipe.take(config, "data", ("row_length", "packing"))


def _pack_inputs(experiment: Experiment, corpus: str, tokenizer: str) -> dict[str, list[str]]:
    return {
        "train": [SEGMENTS.file("train", corpus)],
        "held_out": [SEGMENTS.file("held_out", corpus)],
        "segments_manifest": [SEGMENTS.file("manifest", corpus)],
        "tokenizer": [tokenizer_manifest(experiment.config, tokenizer)],
    }


PACK = Kind(
    name="pack",
    folder="resources/pack/{corpus}/{tokenizer}",
    reads={
        "train": content("training segments, Parquet"),
        "held_out": content("held-out segments, Parquet"),
        "segments_manifest": result("manifest of the segments, JSON"),
        "tokenizer": result("folder of the tokenizer", folder=True),
    },
    writes={
        "rows": Output("rows.bin", "rows of token ids"),
        "index": Output("index.parquet", "positions of the segments, Parquet"),
        "held_out_rows": Output("held_out.bin", "held-out rows"),
        "manifest": Output("manifest.json", "description of the rows, JSON"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    settings={"threads": THREADS},
    recipe=_pack_recipe,
    inputs=_pack_inputs,
)


def pack_of(config: dict, model: str, output: str = "manifest") -> str:
    """Return an output of the packing with a model's tokenizer."""
    return PACK.file(output, config["corpus"], hyperparameters.tokenizer_of(config, model))


PACKS = result("manifests of the packed corpus, JSON", many=True, optional=True)


def packs_of(config: dict) -> list[str]:
    """Return the manifests of the rows in all tokenizers of the grid; none for a grid without a corpus."""
    return sorted({pack_of(config, model) for model in config["models"]}) if config["corpus"] else []


def _slice_recipe(config: dict, size: str) -> Recipe:
    return Recipe({"size_tokens": grid.parse_size(size)}, {"": "sizes"})


def _slice_inputs(experiment: Experiment, corpus: str, tokenizer: str, size: str) -> dict[str, list[str]]:
    counted = experiment.config["data"]["tokenizer"]
    return {
        "grid_index": [PACK.file("index", corpus, counted)],
        "grid_pack": [PACK.file("manifest", corpus, counted)],
        "index": [PACK.file("index", corpus, tokenizer)],
        "rows": [PACK.file("rows", corpus, tokenizer)],
        "pack": [PACK.file("manifest", corpus, tokenizer)],
    }


SLICE = Kind(
    name="slice",
    folder="resources/slice/{corpus}/{tokenizer}/{size}",
    reads={
        "grid_index": content("index of the rows in the grid's tokenizer, Parquet"),
        "grid_pack": result("manifest of the rows in the grid's tokenizer, JSON"),
        "index": content("index of the rows, Parquet"),
        "rows": content("rows of token ids"),
        "pack": result("manifest of the rows, JSON"),
    },
    writes={
        "manifest": Output("manifest.json", "description of the slice, JSON"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    recipe=_slice_recipe,
    inputs=_slice_inputs,
)


def slice_of(config: dict, model: str, size: str) -> str:
    """Return the manifest of a slice in a model's tokenizer."""
    return SLICE.file("manifest", config["corpus"], hyperparameters.tokenizer_of(config, model), size)


def _task_recipe(config: dict, task: str) -> Recipe:
    entry = config["catalogue"]["tasks"][task]
    values = {name: value for name, value in entry.items() if name not in ("metrics", "positive", "glue")}
    if "seed" in entry:
        values["generator_seed"] = entry["seed"]
    if "files" in entry:
        values["files"] = user_files.digest(user_files.find_task_files(config, task).values())
    same = {"validation": sorted(entry["validation"]), "seed": config["data"]["seed"]}
    path = f"catalogue.tasks.{task}"
    return Recipe(values | same, {"": f"{path}.*", "seed": "data.seed", "generator_seed": f"{path}.seed"})


def _task_inputs(experiment: Experiment, task: str) -> dict[str, list[str]]:
    return {"files": list(user_files.find_task_files(experiment.config, task).values())}


TASK = Kind(
    name="task",
    folder="resources/task/{task}",
    reads={
        "files": local_files(
            "text file with the name of each split's file, one a line, of training first (source: files)"
        )
    },
    writes={
        "examples": Output("examples.parquet", "the task's examples, Parquet"),
        "manifest": Output("manifest.json", "description of the task, JSON"),
        "record": Output("record.json", "record of the step, JSON"),
    },
    # It may fetch from the hub.
    environment="",
    recipe=_task_recipe,
    plugins=lambda recipe: [("task", recipe["kind"])],
    inputs=_task_inputs,
)
