"""Where results lie, and what each is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from gridlaw import grid, io, recipes, record


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
    read: Callable[[str], dict | None] = io.find_json,
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
