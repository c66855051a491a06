"""Fine-tune one cell's model on one task: every seed and size of the training set, in one process.

    python scripts/finetune.py --recipe finetune.json --model model/ --examples examples.parquet --task manifest.json \
        --predictions predictions.parquet --record record.json

Predictions are saved for every validation example, so that metrics are a separate, cheap step. Training sets of
different sizes are prefixes of the task's one shuffle.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import Dataset
from transformers import DataCollatorWithPadding, Trainer, set_seed
from transformers.utils import logging

from gridlaw import cli, devices, modeling, record, training


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, help="folder of the pre-trained model")
    parser.add_argument("--model-manifest", required=True, help="manifest of the pre-trained model, JSON")
    parser.add_argument("--examples", required=True, help="the task's examples, Parquet")
    parser.add_argument("--task", required=True, help="manifest of the task, JSON")
    parser.add_argument("--predictions", required=True, help="predictions to write, Parquet")
    parser.add_argument("--record", required=True, help="how they came about, JSON to write")
    parser.add_argument("--tensorboard", help="folder for TensorBoard's files, one below it for each run")
    args = parser.parse_args()
    recipe = args.recipe
    devices.launch(1)
    device = devices.prepare()
    # That the head is new is the point of fine-tuning, not a warning.
    logging.set_verbosity_error()

    tokenizer = modeling.tokenizer(args.model)
    examples = pd.read_parquet(args.examples)
    splits = {split: Examples(rows, recipe, tokenizer) for split, rows in examples.groupby("split", sort=False)}
    classes = record.read_json(args.task)["classes"]
    train, heads = splits[recipe["train"]], len(classes) if classes else 1

    predictions, runs = [], []
    for train_set in recipe["train_examples"]:
        size = len(train) if train_set == "all" else train_set
        if size > len(train):
            raise cli.Failure(
                f"finetune.train_examples: {size} is more than the {len(train)} the task has; right would be all"
            )
        for seed in recipe["seeds"]:
            run = {"train_set": str(train_set), "train_examples": size, "seed": seed}
            folder = args.tensorboard and Path(args.tensorboard, str(train_set), str(seed))
            outcome, facts = finetune(args.model, heads, train.prefix(size), splits, tokenizer, recipe, seed, folder)
            predictions += [frame.assign(**run) for frame in outcome]
            runs.append(run | facts)
    pd.concat(predictions).to_parquet(args.predictions, index=False)
    record.write(
        args.record, recipe, [args.model_manifest, args.task], [args.predictions], device=device, runs=runs,
        peak_memory_mb=round(training.peak_memory_mb(), 1),
    )  # fmt: skip


class Examples(Dataset):
    """Tokenised examples of a split, as Trainer reads them; padding is left to the batch."""

    def __init__(self, rows: pd.DataFrame, recipe: dict, tokenizer):
        texts = [rows[column].tolist() for column in recipe["text"]]
        encoded = tokenizer(*texts, truncation=True, max_length=recipe["max_length"])
        labels = rows["label"].astype(float if recipe["kind"] == "regression" else int).tolist()
        self.rows = [
            dict(zip(encoded.keys(), values, strict=True)) | {"labels": label}
            for *values, label in zip(*encoded.values(), labels, strict=True)
        ]
        self.labels = labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        return self.rows[index]

    def prefix(self, size: int) -> list[dict]:
        """The first examples."""
        return self.rows[:size]


def finetune(
    model: str,
    heads: int,
    train: list[dict],
    splits: dict[str, Examples],
    tokenizer,
    recipe: dict,
    seed: int,
    folder: Path | None,
) -> tuple[list[pd.DataFrame], dict]:
    """One fine-tuning.

    Returns:
        For each validation split a frame of predictions, and facts for the record.
    """
    started = time.perf_counter()
    # The head is drawn from the global random state, so the seed comes before the model.
    set_seed(seed)
    steps = recipe["epochs"] * math.ceil(len(train) / recipe["batch_size"])
    with tempfile.TemporaryDirectory(prefix="gridlaw-") as scratch:
        trainer = Trainer(
            model=modeling.classifier(model, heads, recipe["dropout"]),
            args=training.arguments(
                recipe,
                steps,
                1,
                scratch,
                seed=seed,
                per_device_eval_batch_size=recipe["eval_batch_size"],
                train_sampling_strategy="group_by_length",
                report_to=training.log_to_tensorboard(folder),
            ),
            train_dataset=train,
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        trained = trainer.train()
        frames = [predict(trainer, splits[split], recipe["kind"]).assign(split=split) for split in recipe["validation"]]
    facts = {"steps": steps, "final_loss": trained.training_loss, "seconds": round(time.perf_counter() - started, 3)}
    return frames, facts


def predict(trainer: Trainer, examples: Examples, kind: str) -> pd.DataFrame:
    """A split's examples with label, prediction (a class number or a score) and the head's outputs."""
    # Rows of like length together need little padding. Trainer must keep that order, or labels and outputs would part.
    order = sorted(range(len(examples)), key=lambda index: len(examples[index]["input_ids"]))
    trainer.args.train_sampling_strategy = "sequential"
    predicted = torch.as_tensor(trainer.predict(torch.utils.data.Subset(examples, order)).predictions).float()
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
