"""Results of earlier releases, with today's names of what they count.

`tokens` was the corpus tokens of a slice and of a forecast, the trained tokens of a record, and the size in tables of
runs and scores; records and tables of runs had the corpus tokens as `unique_tokens`. The held-out loss was measured at
the mask rate of training. Results that a person has accepted or adopted since may still say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def slice(manifest: dict) -> dict:
    """A slice's manifest."""
    return _renamed(manifest, {"tokens": "corpus_tokens"})


def training(made: dict) -> dict:
    """A training's record."""
    recipe = made.get("recipe", {})
    measured = {"held_out_mask_rate": recipe["mask_rate"]} if "mask_rate" in recipe else {}
    facts = _renamed(made, {"tokens": "trained_tokens", "unique_tokens": "corpus_tokens"})
    return {"corpus_tokens": 0} | facts | {"recipe": measured | recipe}


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """A table of runs, of scores, or of forecasts."""
    if "unique_tokens" in rows:
        named = rows.drop(columns="tokens").rename(columns={"unique_tokens": "corpus_tokens"})
        return named.assign(held_out_mask_rate=float("nan"))
    return rows.rename(columns={"tokens": "corpus_tokens" if "times_largest" in rows else "size_tokens"})


def _renamed(facts: dict, names: dict[str, str]) -> dict:
    return {names.get(name, name): value for name, value in facts.items()}
