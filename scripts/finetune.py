"""Fine-tune one cell's model on one task: every seed and size of the training set, in one process.

    python scripts/finetune.py --recipe finetune.json --model model/ --examples examples.parquet --task manifest.json \
        --predictions predictions.parquet --manifest manifest.json --record record.json --work work/

Predictions are saved for every validation example, so that metrics are a separate, cheap step. Training sets of
different sizes are prefixes of the task's one shuffle. Finished runs are kept in the work folder: killed at any moment,
the same command continues, and one more seed costs one seed.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from gridlaw import cli, io, launch, record, work


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
    with launch.loading():
        import pandas as pd
        from transformers.utils import logging

        from gridlaw import devices, finetuning, modeling, training
        from gridlaw.energy import Energy
        from gridlaw.heartbeat import Heartbeat

    recipe, device = args.recipe, devices.prepare()
    # That the head is new is the point of fine-tuning, not a warning.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = modeling.tokenizer(args.model)
    examples = pd.read_parquet(args.examples)
    splits = {
        split: finetuning.Examples(rows, recipe, tokenizer) for split, rows in examples.groupby("split", sort=False)
    }
    train = splits[recipe["train"]]
    classes = io.read_json(args.task)["classes"]
    sizes = {train_set: len(train) if train_set == "all" else train_set for train_set in recipe["train_examples"]}
    largest = max(sizes.values())
    if largest > len(train):
        raise cli.Failure(
            f"finetune.train_examples: {largest} is more than the {len(train)} the task has; right would be all"
        )
    updates = {train_set: finetuning.updates(recipe, size) for train_set, size in sizes.items()}
    heartbeat = Heartbeat(args.work, len(recipe["seeds"]) * sum(updates.values()), finetuning.unit(recipe))

    frames, runs, before = [], [], 0
    with Energy() as energy:
        for train_set, size in sizes.items():
            for seed in recipe["seeds"]:
                folder = Path(args.work, f"{train_set}-{seed}")
                if not (folder / work.FACTS).exists():
                    finetuning.finetune(
                        args, folder, fingerprint, train.rows[:size], splits, tokenizer, classes, seed,
                        tell=lambda done, before=before: heartbeat.tell(before + done),
                    )  # fmt: skip
                before += updates[train_set]
                work.remove_checkpoints(folder)
                run = {"train_set": str(train_set), "train_examples": size, "seed": seed}
                frames.append(pd.read_parquet(folder / finetuning.PREDICTIONS).assign(**run))
                runs.append(run | io.read_json(folder / work.FACTS))
    pd.concat(frames).to_parquet(args.predictions, index=False)
    rows = sum(map(len, frames))
    io.write_json(args.manifest, {"runs": len(runs), "rows": rows, "sha256": io.sha256(args.predictions)})
    record.write(
        args.record, recipe, [args.model_manifest, args.task], [args.predictions, args.manifest], device=device,
        runs=runs, peak_memory_mb=round(training.peak_memory_mb(), 1), energy=energy.record(),
        attempts=work.attempts(args.work),
    )  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
