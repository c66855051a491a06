"""Where results lie, and what each is made from: other results, and files of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from glob import glob
from pathlib import Path

from gridlaw import grid, recipes, record

# What a released checkpoint is made of: weights in safetensors, configuration, tokenizer.
CHECKPOINT = [
    "config.json", "model*.safetensors", "model.safetensors.index.json", "tokenizer*", "special_tokens_map.json",
    "added_tokens.json", "vocab.*", "merges.txt", "spiece.model", "sentencepiece*",
]  # fmt: skip


def is_released(config: dict, model: str) -> bool:
    """Whether a model is a released checkpoint, which brings its tokenizer."""
    return "pretrained" in config["catalogue"]["models"].get(model, {})


def tokenizer_folder(config: dict, tokenizer: str) -> str:
    """Where a tokenizer lies: trained on the corpus, or a released model's own."""
    if is_released(config, tokenizer):
        return f"resources/checkpoint/{tokenizer}"
    return f"resources/tokenizer/{config['corpus']}/{tokenizer}"


def pack_folder(config: dict, model: str) -> str:
    """Where the rows in a model's tokenizer lie."""
    return f"resources/pack/{config['corpus']}/{recipes.tokenizer_of(config, model)}"


def slice_manifest(config: dict, model: str, size: str) -> str:
    """What a slice is, in a model's tokenizer."""
    return f"resources/slice/{config['corpus']}/{recipes.tokenizer_of(config, model)}/{size}/manifest.json"


def corpus_files(config: dict, corpus: str, key: str) -> list[str]:
    """Local files of a corpus, in the order of their names; none for other sources.

    Args:
        key: `files` or `held_out_files`.
    """
    patterns = config["catalogue"]["corpora"][corpus].get(key, [])
    return sorted({file for pattern in patterns for file in glob(pattern, recursive=True)})


def task_files(config: dict, task: str) -> dict[str, str]:
    """Local files of a task by split, as far as it uses them; none for other sources."""
    entry = config["catalogue"]["tasks"][task]
    return {split: entry["files"][split] for split in [entry["train"], *entry["validation"]] if "files" in entry}


def checkpoint_files(folder: str | Path) -> list[str]:
    """Files of a checkpoint in a local folder, in the order of their names; none for a repository on the hub."""
    if isinstance(folder, str) and not folder.startswith((".", "/")):
        return []
    return sorted(str(file) for file in {file for pattern in CHECKPOINT for file in Path(folder).glob(pattern)})


def shares_trunk(config: dict, model: str, size: str) -> bool:
    """Whether a run branches off the trunk of its model; size 0 trains nothing."""
    trunk = recipes.pretrain_parameters(config, model)["schedule"] == "trunk"
    return trunk and grid.parse_size(size) != 0


def trunk_before(
    config: dict,
    model: str,
    size: str,
    gpus: int | str,
    seed: int | str,
    cells: Iterable[grid.Cell],
    read: Callable[[str], dict | None] = record.found,
) -> str | None:
    """The size whose state a trunk goes on from: the next smaller one of the grid, None for the smallest.

    A state that is there already keeps the one that it did go on from: a size added in between does not change it.

    Args:
        cells: the grid's.
        read: gives the record in a file, or None.
    """
    made = read(f"results/trunk/{model}/{size}/{gpus}/{seed}/record.json")
    if made and record.basis(made)["recipe"] == recipes.trunk(config, model, gpus, seed):
        states = (Path(file) for file in made["inputs"] if file.startswith("results/trunk/"))
        return next((state.parts[3] for state in states), None)
    smaller = [
        cell.size
        for cell in cells
        if (cell.model, cell.gpus) == (model, int(gpus)) and 0 < grid.size_order(cell.size) < grid.size_order(size)
    ]
    return max(smaller, key=grid.size_order, default=None)
