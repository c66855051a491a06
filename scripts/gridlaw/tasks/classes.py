"""The classes of a task, as metrics need them. They are those of the training split, whatever is predicted."""

from __future__ import annotations

from dataclasses import dataclass

from gridlaw.cli import Failure


@dataclass(frozen=True)
class Classes:
    """Classes, numbered from 0.

    Args:
        labels: their labels in the order of their numbers, at least two.
        positive: number of the positive class of two; None for more.
    """

    labels: tuple
    positive: int | None

    @classmethod
    def of_task(cls, task: str, labels: list | None, positive: str | float | bool | None = None) -> Classes | None:
        """Return the classes of a task, None for labels that are no classes.

        Args:
            task: name in the catalogue.
            labels: the classes in the task's manifest.
            positive: label of the positive class; None for the second of two.

        Raises:
            Failure: `positive` is not one of two classes.
        """
        if labels is None:
            return None
        if positive is None:
            return cls(tuple(labels), 1 if len(labels) == 2 else None)
        key = f"catalogue.tasks.{task}.positive"
        if len(labels) > 2:
            raise Failure(f"{key}: {positive}, but the task has {len(labels)} classes; expected this key for two only")
        # What is text in a file may be a number in the configuration, and the reverse.
        names = list(map(str, labels))
        if str(positive) not in names:
            quotes = "; YAML reads yes and no as true and false, write them in quotes" * isinstance(positive, bool)
            raise Failure(f"{key}: {positive} is no class of the task; expected {names[0]} or {names[1]}{quotes}")
        return cls(tuple(labels), names.index(str(positive)))

    @property
    def all(self) -> list[int]:
        """The numbers of all classes."""
        return list(range(len(self.labels)))

    @property
    def averaged(self) -> list[int]:
        """The classes that precision, recall and F1 are averages over: the positive one of two, or all."""
        return self.all if self.positive is None else [self.positive]
