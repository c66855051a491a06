"""Fine-tune one cell's model on one task: every seed and size of the training set, in one process.

    python scripts/finetune.py --recipe finetune.json --model model/ --examples examples.parquet --task manifest.json \
        --predictions predictions.parquet --manifest manifest.json --record record.json --work work/

Predictions are saved for every validation example, so that metrics are a separate, cheap step. Training sets of
different sizes are prefixes of the task's one shuffle. Finished runs are kept in the work folder: killed at any moment,
the same command continues, and one more seed costs one seed.
"""

from __future__ import annotations

import hashlib
import math
import time
from argparse import Namespace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, Subset
from transformers import DataCollatorWithPadding, set_seed
from transformers.trainer_pt_utils import get_length_grouped_indices
from transformers.utils import logging

from gridlaw import cli, devices, modeling, objective, record, schedule, training, work
from gridlaw.checkpoints import ResumableTrainer
from gridlaw.energy import Energy

# Of a finished run; its facts are written after it.
PREDICTIONS = "predictions.parquet"


def main() -> None:
    parser = cli.training_parser(__doc__)
    parser.add_argument("--model", required=True, help="folder of the pre-trained model")
    parser.add_argument("--model-manifest", required=True, help="manifest of the pre-trained model, JSON")
    parser.add_argument("--examples", required=True, help="the task's examples, Parquet")
    parser.add_argument("--task", required=True, help="manifest of the task, JSON")
    parser.add_argument("--predictions", required=True, help="predictions to write, Parquet")
    parser.add_argument("--manifest", required=True, help="what they are, JSON to write")
    parser.add_argument("--record", required=True, help="how they came about, JSON to write")
    args = parser.parse_args()
    work.attempt(args, [args.model_manifest, args.task], 1, every_run, extendable=("seeds", "train_examples"))


def every_run(args: Namespace, fingerprint: str) -> None:
    """Fine-tune for each seed and size of the training set, unless that was done before."""
    recipe, device = args.recipe, devices.prepare()
    # That the head is new is the point of fine-tuning, not a warning.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = modeling.tokenizer(args.model)
    examples = pd.read_parquet(args.examples)
    splits = {split: Examples(rows, recipe, tokenizer) for split, rows in examples.groupby("split", sort=False)}
    train = splits[recipe["train"]]
    classes = record.read_json(args.task)["classes"]

    frames, runs = [], []
    with Energy() as energy:
        for train_set in recipe["train_examples"]:
            size = len(train) if train_set == "all" else train_set
            if size > len(train):
                raise cli.Failure(
                    f"finetune.train_examples: {size} is more than the {len(train)} the task has; right would be all"
                )
            for seed in recipe["seeds"]:
                folder = Path(args.work, f"{train_set}-{seed}")
                if not (folder / work.FACTS).exists():
                    finetune(args, folder, fingerprint, train.rows[:size], splits, tokenizer, classes, seed)
                work.remove_checkpoints(folder)
                run = {"train_set": str(train_set), "train_examples": size, "seed": seed}
                frames.append(pd.read_parquet(folder / PREDICTIONS).assign(**run))
                runs.append(run | record.read_json(folder / work.FACTS))
    pd.concat(frames).to_parquet(args.predictions, index=False)
    rows = sum(map(len, frames))
    record.write_json(args.manifest, {"runs": len(runs), "rows": rows, "sha256": record.sha256(args.predictions)})
    record.write(
        args.record, recipe, [args.model_manifest, args.task], [args.predictions, args.manifest], device=device,
        runs=runs, peak_memory_mb=round(training.peak_memory_mb(), 1), energy=energy.record(),
        attempts=work.attempts(args.work),
    )  # fmt: skip


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
) -> None:
    """One fine-tuning; leaves its predictions and facts in the folder."""
    recipe, started = args.recipe, time.perf_counter()
    folder.mkdir(exist_ok=True)
    # The head is drawn from the global random state, so the seed comes before the model.
    set_seed(seed)
    model = modeling.classifier(args.model, len(classes) if classes else 1, recipe["dropout"], recipe["attention"])
    steps = math.ceil(recipe["epochs"] * len(train) / recipe["batch_size"])
    trainer = ResumableTrainer(
        model=objective.Classify(model),
        args=training.arguments(
            recipe,
            steps,
            1,
            folder,
            seed=seed,
            per_device_eval_batch_size=recipe["eval_batch_size"],
            report_to=training.log_to_tensorboard(args.tensorboard and Path(args.tensorboard, *folder.name.split("-"))),
        ),
        train_dataset=Epochs(train, recipe["epochs"], recipe["batch_size"], seed),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_loss_func=objective.classification_loss,
        folder=folder,
        fingerprint=hashlib.sha256(f"{fingerprint} {folder.name}".encode()).hexdigest(),
        minutes=args.checkpoint_minutes,
        schedule=schedule.named(recipe["schedule"], recipe["warmup_ratio"], steps),
    )
    trainer.run()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    predictions = [
        predict(trainer, splits[split], recipe["kind"]).assign(split=split) for split in recipe["validation"]
    ]
    pd.concat(predictions).to_parquet(folder / PREDICTIONS, index=False)
    record.write_json(
        folder / work.FACTS,
        {
            "steps": steps,
            "final_loss": sum(losses[-5:]) / len(losses[-5:]),
            "examples_per_second": _rate(trainer.times.seconds, recipe["batch_size"]),
            "seconds": round(time.perf_counter() - started, 3),
        },
    )


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


if __name__ == "__main__":
    cli.run(main)
