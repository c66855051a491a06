"""Facts about a configuration that finished results hold, so that its validation need not estimate them."""

from __future__ import annotations

from gridlaw import io
from gridlaw.canonical_json import same
from gridlaw.workflow.kinds.data import CORPUS, PACK, SEGMENTS, TOKENIZER


def packed_tokens(config: dict) -> int | None:
    """Return the training tokens of the packed corpus; None unless the recipes of this configuration packed it."""
    corpus, tokenizer = config["corpus"], config["data"]["tokenizer"]
    recipes = {
        CORPUS.file("record", corpus): CORPUS.recipe(config, corpus),
        SEGMENTS.file("record", corpus): SEGMENTS.recipe(config),
    }
    if tokenizer in config["catalogue"]["tokenizers"]:
        recipes[TOKENIZER.file("record", corpus, tokenizer)] = TOKENIZER.recipe(config, tokenizer)
    manifest = io.find_json(PACK.file("manifest", corpus, tokenizer))
    for file, recipe in recipes.items():
        record = io.find_json(file) or {}
        if "recipe" not in record or not same(record["recipe"], recipe.values):
            return None
    return manifest and manifest["train"]["tokens"]
