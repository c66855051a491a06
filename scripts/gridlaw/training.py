"""What pre-training and fine-tuning ask of Hugging Face's Trainer alike, and say of a run."""

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

from gridlaw import devices, launch
from gridlaw.checkpoints import ResumableTrainer
from gridlaw.events import Events, remove
from gridlaw.heartbeat import Unit


def arguments(recipe: dict, steps: int, ranks: int, folder: str | Path, **more: object) -> TrainingArguments:
    """Trainer's arguments for a recipe's optimisation.

    Args:
        recipe: has the schema's hyper-parameters of optimisation; `batch_size` is that of an update over all ranks.
        steps: updates of the run.
        ranks: data-parallel ranks that share an update.
        folder: where Trainer may write.
        more: arguments of its own that a program adds.
    """
    share = recipe["batch_size"] // ranks
    accumulation = next(n for n in range(1, share + 1) if share % n == 0 and share // n <= recipe["device_batch_size"])
    cuda = torch.cuda.is_available()
    if recipe["compile"]:
        # Kernels for any shape, and none of an earlier run: one made for the shapes that a process happens to see first
        # would make a resumed run differ.
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
        # The order of the data is the data set's own, a pure function of seed and pass.
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        accelerator_config={"non_blocking": cuda},
        logging_steps=max(1, steps // 50),
        # It would wait for the GPU at each update.
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        # The gradients' buckets are otherwise laid out anew after the first update since the start, which changes the
        # order of sums over more than two ranks: a resumed run would differ.
        ddp_find_unused_parameters=ranks > 2,
        **more,
    )


def follow(trainer: ResumableTrainer, unit: Unit, tell: Callable[[int], None], folder: str | Path | None) -> None:
    """Have a training tell how it goes; of several ranks the first.

    Args:
        unit: what its speed is counted in.
        tell: takes the updates that are done.
        folder: for TensorBoard, if it is wanted.
    """
    if launch.rank() == 0:
        trainer.add_callback(Tell(tell))
        if folder:
            trainer.add_callback(Curves(trainer, unit, folder))


class Tell(TrainerCallback):
    """Tells after each update how many are done."""

    def __init__(self, tell: Callable[[int], None]):
        self._tell = tell

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self._tell(state.global_step)

    on_step_end = on_train_begin


class Curves(TrainerCallback):
    """Writes a training's curves for TensorBoard, over the tokens or examples that it has gone through.

    What earlier attempts have written stays if this one goes on from their checkpoint, up to there.

    Args:
        trainer: whose callback it is.
        unit: of the horizontal axis.
        folder: to write in.
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
        return Events(self._folder, "training", self._at(self._trainer.first_step) if resumed else None)

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self._last = state.global_step

    def on_log(self, args, state, control, logs, **kwargs) -> None:
        numbers = {self.TAGS[name]: value for name, value in logs.items() if name in self.TAGS}
        if "loss" in logs:
            seconds = self._trainer.times.seconds[self._last - state.global_step :]
            self._last = state.global_step
            if seconds:
                speed = self._unit.per_update * len(seconds) / sum(seconds)
                numbers[f"train/{self._unit.name}_per_second"] = speed
        if numbers:
            self._events.add(self._at(state.global_step), numbers)

    def _at(self, update: int) -> int:
        return round(update * self._unit.per_update)


def throughput(seconds: list[float], tokens_per_step: float) -> dict[str, float | None]:
    """Tokens a second at the median update, with the 95 % interval of the median (order statistics)."""
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
    """Most memory the running rank held: of its GPU, or of its process on a machine without."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
