"""The fitted laws of a grid in one file: `laws` fits them, and programs that forecast, decide or draw by them read it.

It is an npz: arrays are entries of their own, and the entry `tree` is JSON that says what is made of them. Every number
comes back to the last digit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gridlaw.forecasting import Forecaster
from gridlaw.laws import Law
from gridlaw.points import Points
from gridlaw.powerlaw import Fit
from gridlaw.sigmoid import Curve, ScoreLaw

# What marks an object of the tree as something else, by the name of its class.
CLASS = "__class__"


@dataclass(frozen=True, eq=False)
class Fits:
    """The laws of comparable runs that forecasts are made by.

    Args:
        laws: of each model, the law of its loss by corpus tokens.
        scores: the curve of each task's score by loss, over all models.
    """

    laws: dict[str, Law]
    scores: list[ScoreLaw]


CLASSES: dict[str, Callable] = {
    of.__name__: of for of in (Fits, Law, ScoreLaw, Forecaster, Points, Fit, Curve, pd.DataFrame)
}


def write(file: str | Path, groups: dict[str, Fits]) -> None:
    """Write the laws of each group of comparable runs, by the group's name."""
    arrays: dict[str, np.ndarray] = {}

    def plain(value: object) -> dict:
        if isinstance(value, np.ndarray):
            name = str(len(arrays))
            arrays[name] = value
            return {CLASS: "array", "name": name}
        if isinstance(value, pd.DataFrame):
            return {CLASS: "DataFrame", "data": value.to_dict("list")}
        return {CLASS: type(value).__name__, **vars(value)}

    tree = json.dumps(groups, default=plain)
    with open(file, "wb") as stream:
        np.savez(stream, tree=tree, **arrays)


def read(file: str | Path) -> dict[str, Fits]:
    """The laws of each group of comparable runs, by the group's name."""
    with np.load(file) as stored:

        def made(value: dict) -> object:
            name = value.pop(CLASS, None)
            if name is None:
                return value
            return stored[value["name"]] if name == "array" else CLASSES[name](**value)

        return json.loads(str(stored["tree"]), object_hook=made)
