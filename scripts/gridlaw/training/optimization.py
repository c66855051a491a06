"""Common parts of pre-training and fine-tuning: arguments for Hugging Face's Trainer, progress, and measurements."""

from __future__ import annotations

import os
import resource
import statistics
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from transformers import TrainerCallback, TrainingArguments

from gridlaw.runtime import launch
from gridlaw.runtime.events import Events, remove
from gridlaw.runtime.heartbeat import Unit
from gridlaw.training import devices
from gridlaw.training.checkpoints import ResumableTrainer


def arguments(recipe: dict, steps: int, ranks: int, folder: str | Path, **more: object) -> TrainingArguments:
    """Return Trainer's arguments for the optimization that a recipe describes.

    Args:
        recipe: with the schema's optimization keys; `batch_size` counts sequences per optimizer step, over all ranks.
        steps: optimizer steps of the run.
        ranks: data-parallel ranks that share a step.
        folder: a folder that Trainer may write in.
        more: further arguments of Trainer.
    """
    share = recipe["batch_size"] // ranks
    accumulation = next(n for n in range(1, share + 1) if share % n == 0 and share // n <= recipe["device_batch_size"])
    cuda = torch.cuda.is_available()
    if recipe["compile"]:
        # Compile kernels for any shape, and keep none of an earlier run: kernels for the shapes that a process happens
        # to see first would change the result of a resumed run.
        torch.compiler.reset()
        os.environ["ACCELERATE_DYNAMO_USE_DYNAMIC"] = "true"
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=share // accumulation,
        gradient_accumulation_steps=accumulation,
        learning_rate=recipe["learning_rate"],
        weight_decay=recipe["weight_decay"],
        adam_beta2=recipe["adam_beta2"],
        max_grad_norm=recipe["max_grad_norm"],
        bf16=devices.bf16(recipe["precision"]),
        tf32=recipe["precision"] == "tf32" if cuda else None,
        torch_compile=recipe["compile"],
        use_cpu=not cuda,
        # The data set itself orders the data, as a pure function of seed and epoch.
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        accelerator_config={"non_blocking": cuda},
        logging_steps=max(1, steps // 50),
        # The filter would wait for the GPU at each step.
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        # Otherwise DDP rebuilds its gradient buckets after the first step of each process. With more than two ranks
        # this changes the summation order, and so the result of a resumed run.
        ddp_find_unused_parameters=ranks > 2,
        **more,
    )


def report_progress(
    trainer: ResumableTrainer, unit: Unit, report: Callable[[int], None], folder: str | Path | None
) -> None:
    """Make rank 0 report the progress of a training, and write its curves for TensorBoard.

    Args:
        unit: unit of the training's speed.
        report: called with the number of finished optimizer steps.
        folder: TensorBoard's folder; None if curves are not wanted.
    """
    if launch.rank() == 0:
        trainer.add_callback(ReportSteps(report))
        if folder:
            trainer.add_callback(Curves(trainer, unit, folder))


class ReportSteps(TrainerCallback):
    """Reports the number of finished optimizer steps, after each of them."""

    def __init__(self, report: Callable[[int], None]):
        self._report = report

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self._report(state.global_step)

    on_step_end = on_train_begin


class Curves(TrainerCallback):
    """Writes a training's curves for TensorBoard, over the tokens or examples that it has processed.

    If the training resumes from a checkpoint, the curves up to that checkpoint are kept.

    Args:
        trainer: the training.
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

    def __init__(self, trainer: ResumableTrainer, unit: Unit, folder: str | Path):
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


def throughput(seconds: list[float], tokens_per_step: float) -> dict[str, float | None]:
    """Return the tokens per second of the median step, with the 95 % interval of the median (order statistics)."""
    if not seconds:
        return {"tokens_per_second": None, "tokens_per_second_low": None, "tokens_per_second_high": None}
    ordered, n = sorted(seconds), len(seconds)
    reach = 0.98 * n**0.5
    low, high = max(0, round(n / 2 - reach) - 1), min(n - 1, round(n / 2 + reach))
    return {
        "tokens_per_second": tokens_per_step / statistics.median(ordered),
        "tokens_per_second_low": tokens_per_step / ordered[high],
        "tokens_per_second_high": tokens_per_step / ordered[low],
    }


def peak_memory_mb() -> float:
    """Return the peak memory of this rank in MiB: GPU memory, or the process's memory on a machine without a GPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
