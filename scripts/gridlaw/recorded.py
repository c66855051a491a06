"""Laws as their record tells of them, as tables: a row for each point of each law."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

# The column of the runs table that a law counts parameters in, by whether it counts those of embeddings.
PARAMETERS = {True: "parameters", False: "parameters_without_embeddings"}
COLUMNS = ["law", "model", "params", "corpus_tokens"]


def points(laws: list[dict], entry: str, runs: pd.DataFrame) -> pd.DataFrame:
    """What an entry of the laws of loss holds for single points.

    Args:
        entry: `hold_out` or `residuals`.
        runs: the runs table, which tells whose parameters are how many.

    Returns:
        the columns `law`, `model`, `params` and `corpus_tokens`, and those of the entry; laws without it have no row.
    """
    known = runs.dropna(subset=[*PARAMETERS.values()]).drop_duplicates("model").set_index("model")
    table = pd.DataFrame(list(_rows(laws, entry, known)))
    return table.reindex(columns=list(dict.fromkeys([*COLUMNS, *table])))


def _rows(laws: list[dict], entry: str, known: pd.DataFrame) -> Iterator[dict]:
    for law in laws:
        counts = known[PARAMETERS[law.get("embeddings", True)]]
        owners = {count: model for model, count in counts.items()}
        for point in law.get(entry) or []:
            about = {"model": law.get("model", owners.get(point.get("params")))}
            yield {"law": law["name"], "params": counts.get(about["model"]), **about, **point}
