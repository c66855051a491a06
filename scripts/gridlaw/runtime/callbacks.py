"""Reports of a training while it runs: its progress, and curves for TensorBoard. No result depends on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from transformers import Trainer, TrainerCallback

from gridlaw.runtime import launch
from gridlaw.runtime.events import Events, remove
from gridlaw.runtime.heartbeat import Unit


def report_progress(trainer: Trainer, unit: Unit, report: Callable[[int], None], folder: str | Path | None) -> None:
    """Make rank 0 report the progress of a training, and write its curves for TensorBoard.

    Args:
        trainer: a `ResumableTrainer`.
        unit: unit of the training's speed.
        report: called with the number of finished optimizer steps.
        folder: TensorBoard's folder; None if curves are not wanted.
    """
    if launch.rank() == 0:
        trainer.add_callback(ReportSteps(report))
        if folder:
            trainer.add_callback(Curves(trainer, unit, folder))


def evaluate_regularly(trainer: Trainer, measure: Callable[[], dict[str, float]], steps: int, times: int) -> None:
    """Make all ranks measure the held-out loss at regular steps, for the curves.

    Args:
        measure: returns the held-out loss, without any effect on the training.
        steps: optimizer steps of the whole run.
        times: number of measurements; the last one, after the training, is not made here.
    """
    trainer.add_callback(Evaluations(trainer, {math.ceil(n * steps / times) for n in range(1, times)}, measure))


def log_held_out(trainer: Trainer, losses: dict[str, float]) -> None:
    """Log a held-out loss at the current optimizer step of a training."""
    trainer.log({f"eval_{name}": value for name, value in losses.items()})


class ReportSteps(TrainerCallback):
    """Reports the number of finished optimizer steps, after each of them."""

    def __init__(self, report: Callable[[int], None]):
        self._report = report

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self._report(state.global_step)

    on_step_end = on_train_begin


class Evaluations(TrainerCallback):
    """Measures and logs the held-out loss after some optimizer steps."""

    def __init__(self, trainer: Trainer, steps: set[int], measure: Callable[[], dict[str, float]]):
        self._trainer, self._steps, self._measure = trainer, steps, measure

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step in self._steps:
            log_held_out(self._trainer, self._measure())
            self._trainer.callback_handler.on_evaluate(args, state, control, {})


class Curves(TrainerCallback):
    """Writes a training's curves for TensorBoard, over the tokens or examples that it has processed.

    If the training resumes from a checkpoint, the curves up to that checkpoint are kept.

    Args:
        trainer: a `ResumableTrainer`.
        unit: unit of the horizontal axis.
        folder: TensorBoard's folder.
    """

    TAGS: ClassVar = {
        "loss": "train/loss",
        "learning_rate": "train/learning_rate",
        "grad_norm": "train/gradient_norm",
        "eval_held_out_loss": "held_out/loss",
        "eval_held_out_loss_se": "held_out/loss_standard_error",
    }

    def __init__(self, trainer: Trainer, unit: Unit, folder: str | Path):
        self._trainer, self._unit, self._folder = trainer, unit, folder
        self._last = 0

    @cached_property
    def _events(self) -> Events:
        resumed = self._trainer.resumed
        if not resumed:
            remove(self._folder)
        return Events(self._folder, "training", self._units(self._trainer.first_step) if resumed else None)

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self._last = state.global_step

    def on_log(self, args, state, control, logs, **kwargs) -> None:
        numbers = {self.TAGS[name]: value for name, value in logs.items() if name in self.TAGS}
        if "loss" in logs:
            seconds = self._trainer.times.seconds[self._last - state.global_step :]
            self._last = state.global_step
            if seconds:
                speed = self._unit.per_step * len(seconds) / sum(seconds)
                numbers[f"train/{self._unit.name}_per_second"] = speed
        if numbers:
            self._events.add(self._units(state.global_step), numbers)

    def _units(self, step: int) -> int:
        return round(step * self._unit.per_step)
