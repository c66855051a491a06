"""Laws as their record tells of them, as tables: a row for each point of each law."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

# The columns of the runs table that a law may count parameters in.
PARAMETERS = ["parameters", "parameters_without_embeddings"]
COLUMNS = ["law", "model", "params", "tokens"]


def points(laws: list[dict], entry: str, runs: pd.DataFrame) -> pd.DataFrame:
    """What an entry of the laws of loss holds for single points.

    Args:
        entry: `hold_out` or `residuals`.
        runs: the runs table, which tells whose parameters are how many.

    Returns:
        the columns `law`, `model`, `params` and `tokens`, and those of the entry; laws that have none have no row.
    """
    table = pd.DataFrame(list(_rows(laws, entry)))
    table = table.reindex(columns=list(dict.fromkeys([*COLUMNS, *table])))
    counts = runs.dropna(subset=PARAMETERS).drop_duplicates("model").set_index("model")[PARAMETERS]
    owners = {count: model for column in PARAMETERS for model, count in counts[column].items()}
    return table.assign(
        model=table["model"].fillna(table["params"].map(owners)),
        params=table["params"].fillna(table["model"].map(counts["parameters"])),
    )


def _rows(laws: list[dict], entry: str) -> Iterator[dict]:
    for law in laws:
        for point in law.get(entry) or []:
            yield {"law": law["name"], "model": law.get("model"), **point}
