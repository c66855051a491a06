"""Reading and selecting rows of the grid's tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gridlaw import legacy

# Names that users choose stay text, even if they look like numbers.
NAMES = ("model", "size", "train_set", "positive")


def read_table(file: str | Path, **options: object) -> pd.DataFrame:
    """Read a table of the grid.

    Args:
        options: passed to `pandas.read_csv`.
    """
    # Only an empty cell is missing: a task or a class may be called NA.
    rows = pd.read_csv(file, dtype=dict.fromkeys(NAMES, str), keep_default_na=False, na_values=[""], **options)
    return legacy.table(rows)


def smallest_gpus(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each model and size that have its smallest gpus value.

    In strong scaling the others hold the same models, which would count several times.
    """
    return table[table["gpus"] == table.groupby(["model", "size"])["gpus"].transform("min")]
