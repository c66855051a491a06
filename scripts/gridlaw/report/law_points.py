"""Tables from the record of laws: a row for each point of each law."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

# Column of the runs table with a law's parameters, by whether embeddings count.
PARAMETERS = {True: "parameters", False: "parameters_without_embeddings"}
COLUMNS = ["law", "model", "params", "corpus_tokens"]


def points(laws: list[dict], entry: str, runs: pd.DataFrame) -> pd.DataFrame:
    """A table of the points in one entry of the laws of loss.

    Args:
        entry: `hold_out` or `residuals`.
        runs: the runs table, with the parameters of each model.

    Returns:
        the columns `law`, `model`, `params` and `corpus_tokens`, and those of the entry; laws without the entry have no
        row.
    """
    known = runs.dropna(subset=[*PARAMETERS.values()]).drop_duplicates("model").set_index("model")
    table = pd.DataFrame(list(_rows(laws, entry, known)))
    return table.reindex(columns=list(dict.fromkeys([*COLUMNS, *table])))


def _rows(laws: list[dict], entry: str, known: pd.DataFrame) -> Iterator[dict]:
    for law in laws:
        counts = known[PARAMETERS[law.get("embeddings", True)]]
        owners = {count: model for model, count in counts.items()}
        for point in law.get(entry) or []:
            model = law.get("model", owners.get(point.get("params")))
            yield {"law": law["name"], "params": counts.get(model), "model": model, **point}
