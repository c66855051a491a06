"""The grid's tables, as programs read them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gridlaw import legacy

# What people have named is text, also where it looks like a number.
NAMES = ("model", "size", "train_set")


def read_table(file: str | Path, **options: object) -> pd.DataFrame:
    """A table of the grid.

    Args:
        options: of `pandas.read_csv`.
    """
    return legacy.table(pd.read_csv(file, dtype=dict.fromkeys(NAMES, str), **options))
