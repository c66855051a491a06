"""Fine-tuning: from a pre-trained model and a task's examples to predictions for the validation examples."""

from __future__ import annotations

import hashlib
import math
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset
from transformers import DataCollatorWithPadding, set_seed
from transformers.trainer_pt_utils import get_length_grouped_indices

from gridlaw import io
from gridlaw.data import coverage
from gridlaw.models import modeling
from gridlaw.models.classifier import Classify
from gridlaw.runtime import callbacks
from gridlaw.runtime.heartbeat import Unit
from gridlaw.tasks import kind
from gridlaw.tasks.kind import TaskKind
from gridlaw.training import optimization, schedule
from gridlaw.training.checkpoints import ResumableTrainer
from gridlaw.words import percent
from gridlaw.workflow import work_folder

# File of a finished run's predictions; the run's facts are written after it.
PREDICTIONS = "predictions.parquet"
# What helps a model whose tokenizer does not know the text.
REMEDY = "use a checkpoint for this language, a corpus with these characters, or algorithm: bpe"


class Examples(Dataset):
    """Tokenized examples of a split, not yet padded; `unseen` is what the model does not see of them."""

    def __init__(self, rows: pd.DataFrame, recipe: dict, tokenizer):
        texts = [rows[column].tolist() for column in recipe["text"]]
        self.unseen = coverage.of_examples(texts, recipe["max_length"], tokenizer)
        encoded = tokenizer(*texts, truncation=True, max_length=recipe["max_length"])
        self.labels = rows["label"].astype(kind.find(recipe["kind"]).dtype).tolist()
        self.rows = [
            dict(zip(encoded.keys(), values, strict=True)) | {"labels": label}
            for *values, label in zip(*encoded.values(), self.labels, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        return self.rows[index]


@dataclass(frozen=True)
class Run:
    """One of a task's fine-tuning runs.

    Args:
        train_set: entry of `train_examples` in the recipe: a number, or `all`.
        examples: number of training examples.
        seed: of the head's initial weights, dropout and the order of examples.
    """

    train_set: int | str
    examples: int
    seed: int

    @property
    def name(self) -> str:
        """The name of the run's work folder."""
        return work_folder.run_name(self.train_set, self.seed)

    @property
    def columns(self) -> dict[str, int | str]:
        """The columns that identify the run in tables."""
        return {"train_set": str(self.train_set), "train_examples": self.examples, "seed": self.seed}


class Epochs(Dataset):
    """All epochs of a training set, one after the other; the order of each is a pure function of (seed, epoch).

    Batches hold examples of similar length, so they need little padding. Trainer's own sampler of this kind uses the
    global random state, which differs after a run is resumed.
    """

    def __init__(self, rows: list[dict], epochs: int, batch: int, seed: int):
        self.rows, self.epochs, self.batch, self.seed = rows, epochs, batch, seed
        self.lengths = [len(row["input_ids"]) for row in rows]

    def __len__(self) -> int:
        return self.epochs * len(self.rows)

    def __getitem__(self, position: int) -> dict:
        epoch, place = divmod(position, len(self.rows))
        return self.rows[self._order(epoch)[place]]

    # A batch at the end of an epoch needs two orders.
    @lru_cache(maxsize=2)  # noqa: B019
    def _order(self, epoch: int) -> list[int]:
        seed = int(np.random.default_rng([self.seed, epoch]).integers(2**63))
        return get_length_grouped_indices(self.lengths, self.batch, generator=torch.Generator().manual_seed(seed))


def notes(task: str, splits: dict[str, Examples], max_length: int) -> list[str]:
    """Return lines on texts that the model does not see.

    Args:
        task: name of the task.
        splits: examples of each split.
        max_length: largest number of tokens of an example.

    Raises:
        Failure: most of the text is unknown to the tokenizer.
    """
    lines = []
    for split, examples in splits.items():
        unknown, truncated = examples.unseen["unknown"]["characters"], examples.unseen["truncated"]
        lines += coverage.judge(unknown, f"catalogue.tasks.{task}", f"the split {split}", REMEDY)
        if truncated >= coverage.NOTABLE:
            lines.append(
                f"finetune.max_length: {percent(truncated)} of the examples of {task}, split {split}, have more than"
                f" {max_length} tokens and are cut"
            )
    return lines


def finetune(
    args: Namespace,
    run: Run,
    fingerprint: str,
    splits: dict[str, Examples],
    tokenizer,
    classes: list | None,
    report: Callable[[int], None],
) -> None:
    """Fine-tune once, and write the predictions and facts into the run's folder.

    Args:
        args: the program's arguments.
        run: the run.
        fingerprint: of the program's work folder.
        splits: examples of each split.
        tokenizer: pads the batches.
        classes: the task's classes; None for labels that are no classes.
        report: called with the number of finished optimizer steps of this run.
    """
    recipe, started = args.recipe, time.perf_counter()
    task_kind = kind.find(recipe["kind"])
    folder, train = Path(args.work, run.name), splits[recipe["train"]].rows[: run.examples]
    folder.mkdir(exist_ok=True)
    # The head's initial weights come from the global random state, so set the seed before making the model.
    set_seed(run.seed)
    model = modeling.classifier(
        args.model,
        task_kind.count_outputs(classes),
        task_kind.problem_type,
        recipe["dropout"],
        recipe["attention"],
    )
    steps = count_steps(recipe, len(train))
    trainer = ResumableTrainer(
        model=Classify(model),
        args=optimization.arguments(
            recipe,
            steps,
            1,
            folder,
            seed=run.seed,
            per_device_eval_batch_size=recipe["eval_batch_size"],
        ),
        train_dataset=Epochs(train, recipe["epochs"], recipe["batch_size"], run.seed),
        # Few different lengths: CPU kernels are built for each new shape, and GPU kernels prefer multiples of 8.
        data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=math.gcd(recipe["max_length"], 8)),
        compute_loss_func=mean_loss(task_kind),
        folder=folder,
        fingerprint=hashlib.sha256(f"{fingerprint} {run.name}".encode()).hexdigest(),
        minutes=args.checkpoint_minutes,
        schedule=schedule.make_schedule(recipe["schedule"], recipe["warmup_ratio"], steps),
    )
    curves = args.tensorboard and Path(args.tensorboard, str(run.train_set), str(run.seed))
    callbacks.report_progress(trainer, unit(recipe), report, curves)
    trainer.run()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    predictions = [predict(trainer, splits[split], task_kind).assign(split=split) for split in recipe["validation"]]
    pd.concat(predictions).to_parquet(folder / PREDICTIONS, index=False)
    io.write_json(
        folder / work_folder.FACTS,
        {
            "steps": steps,
            "final_loss": sum(losses[-5:]) / len(losses[-5:]),
            "examples_per_second": _rate(trainer.times.seconds, recipe["batch_size"]),
            "seconds": round(time.perf_counter() - started, 3),
        },
    )


def mean_loss(task_kind: TaskKind) -> Callable[..., Tensor]:
    """Return the loss of fine-tuning: the average over the whole optimizer step, however it is split."""

    def loss(outputs: dict[str, Tensor], labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        total = task_kind.loss(outputs["logits"].float(), labels)
        return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    return loss


def count_steps(recipe: dict, examples: int) -> int:
    """Return the number of optimizer steps of fine-tuning on some examples."""
    return math.ceil(recipe["epochs"] * examples / recipe["batch_size"])


def unit(recipe: dict) -> Unit:
    """Return the unit of the speed of fine-tuning."""
    return Unit("examples", recipe["batch_size"])


def _rate(seconds: list[float], examples: int) -> float | None:
    return examples * len(seconds) / sum(seconds) if seconds else None


def predict(trainer: ResumableTrainer, examples: Examples, task_kind: TaskKind) -> pd.DataFrame:
    """Return a split's examples with label, prediction (a class number or a score) and the head's outputs."""
    # Batches of similar length need little padding.
    order = sorted(range(len(examples)), key=lambda index: len(examples[index]["input_ids"]))
    predicted = torch.as_tensor(trainer.predict(Subset(examples, order)).predictions).float()
    outputs = torch.empty(len(examples), predicted[0].numel())
    outputs[order] = predicted.reshape(len(examples), -1)
    return pd.DataFrame(
        {
            "example": range(len(examples)),
            "label": [float(label) for label in examples.labels],
            "prediction": task_kind.predict(outputs).double().tolist(),
            "outputs": outputs.tolist(),
        }
    )
