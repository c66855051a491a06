"""Kinds of tasks: what a label is, how a model learns it, and what it predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
        read_labels: gives the labels of a split as they are stored, for those of its source and the split's name in
            messages. It raises a `Failure` for a label that is none.
        find_classes: gives the classes among the labels of all splits, sorted; None for labels that are no classes. It
            raises a `Failure` for too few; its second argument is the name of the label's column.
        count_outputs: gives the outputs of the head, for the classes.
        loss: gives the loss of logits of shape (examples, outputs) and labels of shape (examples,), summed.
        predict: gives the predictions, shape (examples,), for outputs of shape (examples, outputs).
        guess: gives the one prediction that suits the training labels best, for the baseline.
    """

    dtype: str
    problem_type: str
    read_labels: Callable[[list, str], list]
    find_classes: Callable[[Iterable[list], str], list | None]
    count_outputs: Callable[[list | None], int]
    loss: Callable[[Tensor, Tensor], Tensor]
    predict: Callable[[Tensor], Tensor]
    guess: Callable[[pd.Series], object]


def find(name: str) -> TaskKind:
    """Return a kind of task by its name in the catalogue."""
    return plugins.load("task", name).KIND
