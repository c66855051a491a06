"""Kinds of tasks: what a label is, how a model learns it, and what it predicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridlaw import plugins

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor


@dataclass(frozen=True)
class TaskKind:
    """A kind of task; a file of `tasks/kinds` defines one as `KIND`.

    Args:
        dtype: NumPy's name of the type of labels and predictions.
        problem_type: transformers' name of the kind, for the configuration of the classifier.
        read_label: gives a label as it is stored, for one of the source, which is not missing. It raises a
            `ValueError` for a label that is none, in words that follow "label".
        find_classes: gives the classes among the labels of the training split, sorted; None for labels that are no
            classes. It raises a `ValueError` for labels that nothing can be learnt from.
        count_outputs: gives the outputs of the head, for the classes.
        loss: gives the loss of logits of shape (examples, outputs) and labels of shape (examples,), summed.
        predict: gives the predictions, shape (examples,), for outputs of shape (examples, outputs).
        guess: gives the one prediction that suits the training labels best, for the baseline.
    """

    dtype: str
    problem_type: str
    read_label: Callable[[object], object]
    find_classes: Callable[[list], list | None]
    count_outputs: Callable[[list | None], int]
    loss: Callable[[Tensor, Tensor], Tensor]
    predict: Callable[[Tensor], Tensor]
    guess: Callable[[pd.Series], object]


def find(name: str) -> TaskKind:
    """Return a kind of task by its name in the catalogue."""
    return plugins.load("task", name).KIND
