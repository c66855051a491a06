"""Fine-tuning: from a pre-trained model and a task's examples to predictions of the validation examples."""

from __future__ import annotations

import hashlib
import math
import time
from argparse import Namespace
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, Subset
from transformers import DataCollatorWithPadding, set_seed
from transformers.trainer_pt_utils import get_length_grouped_indices

from gridlaw import io, modeling, objective, schedule, training, work
from gridlaw.checkpoints import ResumableTrainer
from gridlaw.heartbeat import Unit

# Of a finished run; its facts are written after it.
PREDICTIONS = "predictions.parquet"


class Examples(Dataset):
    """Tokenised examples of a split; padding is left to the batch."""

    def __init__(self, rows: pd.DataFrame, recipe: dict, tokenizer):
        texts = [rows[column].tolist() for column in recipe["text"]]
        encoded = tokenizer(*texts, truncation=True, max_length=recipe["max_length"])
        self.labels = rows["label"].astype(float if recipe["kind"] == "regression" else int).tolist()
        self.rows = [
            dict(zip(encoded.keys(), values, strict=True)) | {"labels": label}
            for *values, label in zip(*encoded.values(), self.labels, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        return self.rows[index]


class Epochs(Dataset):
    """All epochs of a training set, one after the other, each in its own order: a pure function of (seed, epoch).

    Examples of like length come together, so that batches need little padding. Trainer's own sampler of this kind draws
    from the global random state, which is another one after a resume.
    """

    def __init__(self, rows: list[dict], epochs: int, batch: int, seed: int):
        self.rows, self.epochs, self.batch, self.seed = rows, epochs, batch, seed
        self.lengths = [len(row["input_ids"]) for row in rows]

    def __len__(self) -> int:
        return self.epochs * len(self.rows)

    def __getitem__(self, position: int) -> dict:
        epoch, place = divmod(position, len(self.rows))
        return self.rows[self._order(epoch)[place]]

    # A batch at the end of an epoch needs two.
    @lru_cache(maxsize=2)  # noqa: B019
    def _order(self, epoch: int) -> list[int]:
        seed = int(np.random.default_rng([self.seed, epoch]).integers(2**63))
        return get_length_grouped_indices(self.lengths, self.batch, generator=torch.Generator().manual_seed(seed))


def finetune(
    args: Namespace,
    folder: Path,
    fingerprint: str,
    train: list[dict],
    splits: dict[str, Examples],
    tokenizer,
    classes: list | None,
    seed: int,
    tell: Callable[[int], None],
) -> None:
    """One fine-tuning; leaves its predictions and facts in the folder.

    Args:
        tell: takes the updates that are done, of this one.
    """
    recipe, started = args.recipe, time.perf_counter()
    folder.mkdir(exist_ok=True)
    # The head is drawn from the global random state, so the seed comes before the model.
    set_seed(seed)
    model = modeling.classifier(args.model, len(classes) if classes else 1, recipe["dropout"], recipe["attention"])
    steps = updates(recipe, len(train))
    trainer = ResumableTrainer(
        model=objective.Classify(model),
        args=training.arguments(
            recipe,
            steps,
            1,
            folder,
            seed=seed,
            per_device_eval_batch_size=recipe["eval_batch_size"],
        ),
        train_dataset=Epochs(train, recipe["epochs"], recipe["batch_size"], seed),
        # Few shapes: a CPU's kernels are made for each new one, and a GPU's are fastest at such lengths.
        data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=math.gcd(recipe["max_length"], 8)),
        compute_loss_func=objective.classification_loss,
        folder=folder,
        fingerprint=hashlib.sha256(f"{fingerprint} {folder.name}".encode()).hexdigest(),
        minutes=args.checkpoint_minutes,
        schedule=schedule.named(recipe["schedule"], recipe["warmup_ratio"], steps),
    )
    curves = args.tensorboard and Path(args.tensorboard, *folder.name.split("-"))
    training.follow(trainer, unit(recipe), tell, curves)
    trainer.run()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    predictions = [
        predict(trainer, splits[split], recipe["kind"]).assign(split=split) for split in recipe["validation"]
    ]
    pd.concat(predictions).to_parquet(folder / PREDICTIONS, index=False)
    io.write_json(
        folder / work.FACTS,
        {
            "steps": steps,
            "final_loss": sum(losses[-5:]) / len(losses[-5:]),
            "examples_per_second": _rate(trainer.times.seconds, recipe["batch_size"]),
            "seconds": round(time.perf_counter() - started, 3),
        },
    )


def updates(recipe: dict, examples: int) -> int:
    """Updates of a fine-tuning on so many examples."""
    return math.ceil(recipe["epochs"] * examples / recipe["batch_size"])


def unit(recipe: dict) -> Unit:
    """What the speed of a fine-tuning is counted in."""
    return Unit("examples", recipe["batch_size"])


def _rate(seconds: list[float], examples: int) -> float | None:
    return examples * len(seconds) / sum(seconds) if seconds else None


def predict(trainer: ResumableTrainer, examples: Examples, kind: str) -> pd.DataFrame:
    """A split's examples with label, prediction (a class number or a score) and the head's outputs."""
    # Rows of like length together need little padding.
    order = sorted(range(len(examples)), key=lambda index: len(examples[index]["input_ids"]))
    predicted = torch.as_tensor(trainer.predict(Subset(examples, order)).predictions).float()
    outputs = torch.empty(len(examples), predicted[0].numel())
    outputs[order] = predicted.reshape(len(examples), -1)
    return pd.DataFrame(
        {
            "example": range(len(examples)),
            "label": [float(label) for label in examples.labels],
            "prediction": (outputs[:, 0] if kind == "regression" else outputs.argmax(1)).double().tolist(),
            "outputs": outputs.tolist(),
        }
    )
