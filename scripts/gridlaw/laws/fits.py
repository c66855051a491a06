"""The file of a grid's fitted laws: written by `laws`, and read by the programs that forecast, decide and draw.

It is an npz file. Arrays are separate entries; the entry `tree` is JSON that describes the objects made of them. Every
number is restored to the last digit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gridlaw.laws.forecasting import Forecaster
from gridlaw.laws.law import Law
from gridlaw.laws.points import Points
from gridlaw.laws.powerlaw import Fit
from gridlaw.laws.score_curve import Curve, ScoreLaw

# The key that holds the class name of an object in the tree.
CLASS = "__class__"


@dataclass(frozen=True, eq=False)
class Fits:
    """The laws of one group of comparable runs.

    Args:
        laws: for each model, the law of its loss by corpus tokens.
        scores: for each task, the curve of its score by loss over all models.
    """

    laws: dict[str, Law]
    scores: list[ScoreLaw]


CLASSES: dict[str, Callable] = {
    kind.__name__: kind for kind in (Fits, Law, ScoreLaw, Forecaster, Points, Fit, Curve, pd.DataFrame)
}


def write(file: str | Path, groups: dict[str, Fits]) -> None:
    """Write the laws of groups of comparable runs, by group name."""
    arrays: dict[str, np.ndarray] = {}

    def encode(value: object) -> dict:
        if isinstance(value, np.ndarray):
            name = str(len(arrays))
            arrays[name] = value
            return {CLASS: "array", "name": name}
        if isinstance(value, pd.DataFrame):
            return {CLASS: "DataFrame", "data": value.to_dict("list")}
        return {CLASS: type(value).__name__, **vars(value)}

    tree = json.dumps(groups, default=encode)
    with open(file, "wb") as stream:
        np.savez(stream, tree=tree, **arrays)


def read(file: str | Path) -> dict[str, Fits]:
    """Read the laws of groups of comparable runs, by group name."""
    with np.load(file) as stored:

        def decode(value: dict) -> object:
            name = value.pop(CLASS, None)
            if name is None:
                return value
            return stored[value["name"]] if name == "array" else CLASSES[name](**value)

        return json.loads(str(stored["tree"]), object_hook=decode)
