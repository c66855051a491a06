"""Results of earlier releases, with their entries renamed to the present names.

In those releases `tokens` meant the corpus tokens of a slice and of a forecast, the trained tokens of a record, and the
size in tables of runs and scores. Records and tables of runs held the corpus tokens as `unique_tokens`. The held-out
loss was measured at the mask rate of training. Results that a user has accepted or adopted may still have these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def slice(manifest: dict) -> dict:
    """The manifest of a slice, with present names."""
    return _rename(manifest, {"tokens": "corpus_tokens"})


def training(record: dict) -> dict:
    """The record of a training, with present names."""
    recipe = record.get("recipe", {})
    mask_rate = {"held_out_mask_rate": recipe["mask_rate"]} if "mask_rate" in recipe else {}
    facts = _rename(record, {"tokens": "trained_tokens", "unique_tokens": "corpus_tokens"})
    return {"corpus_tokens": 0} | facts | {"recipe": mask_rate | recipe}


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """A table of runs, scores, means or forecasts, with present names."""
    if "finetune_seed" in rows:
        rows = _complete(rows, {"positive": None, "trained": None, "diverged": False})
    if "sd" in rows and "metric" in rows:
        rows = _complete(rows, {"positive": None, "diverged": 0, "untrained": 0, "caveat": None})
    if "held_out_loss" in rows:
        rows = _complete(rows, {"diverged": None})
    if "unique_tokens" in rows:
        renamed = rows.drop(columns="tokens").rename(columns={"unique_tokens": "corpus_tokens"})
        return renamed.assign(held_out_mask_rate=float("nan"))
    return rows.rename(columns={"tokens": "corpus_tokens" if "times_largest" in rows else "size_tokens"})


def _complete(rows: pd.DataFrame, facts: dict[str, object]) -> pd.DataFrame:
    return rows.assign(**{name: value for name, value in facts.items() if name not in rows})


def _rename(facts: dict, names: dict[str, str]) -> dict:
    return {names.get(name, name): value for name, value in facts.items()}
