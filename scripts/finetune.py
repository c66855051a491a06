"""Fine-tune one cell's model on one task: every seed and size of the training set, in one process.

    python scripts/finetune.py --recipe finetune.json --model model/ --examples examples.parquet --task manifest.json \
        --predictions predictions.parquet --manifest manifest.json --record record.json --work work/

Predictions are saved for every validation example, so that metrics are a separate, cheap step. Training sets of
different sizes are prefixes of one shuffle of the task. Finished runs are kept in the work folder: after a kill, the
same command resumes, and one more seed costs only its own runs. The manifest has the share of the text that the
tokenizer does not know, and of the examples that are cut. If most of the text is unknown, nothing is trained.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from gridlaw import cli, io
from gridlaw.runtime import launch, work
from gridlaw.workflow import program, record, work_folder


def main() -> None:
    args = program.parse("finetune", __doc__)
    work.attempt(args, 1, run_all)


def run_all(args: Namespace, fingerprint: str) -> None:
    """Fine-tune for each seed and size of the training set, except for runs that are finished."""
    with launch.loading():
        import pandas as pd
        from transformers.utils import logging

        from gridlaw.models import modeling
        from gridlaw.runtime import measures
        from gridlaw.runtime.energy import Energy
        from gridlaw.runtime.heartbeat import Heartbeat
        from gridlaw.training import devices, finetuning

    recipe, device = args.recipe, devices.prepare()
    # transformers warns that the head is new, as it always is in fine-tuning.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = modeling.tokenizer(args.model)
    examples = pd.read_parquet(args.examples)
    splits = {
        split: finetuning.Examples(rows, recipe, tokenizer) for split, rows in examples.groupby("split", sort=False)
    }
    notes = finetuning.notes(Path(args.examples).parent.name, splits, recipe["max_length"])
    for line in notes:
        print(f"warning: {line}", file=sys.stderr, flush=True)
    available = len(splits[recipe["train"]])
    classes = io.read_json(args.task)["classes"]
    sizes = {train_set: available if train_set == "all" else train_set for train_set in recipe["train_examples"]}
    largest = max(sizes.values())
    if largest > available:
        raise cli.Failure(
            f"finetune.train_examples: {largest} is more than the {available} training examples of the task;"
            " use all, or fewer"
        )
    runs = [finetuning.Run(train_set, size, seed) for train_set, size in sizes.items() for seed in recipe["seeds"]]
    steps = [finetuning.count_steps(recipe, run.examples) for run in runs]
    heartbeat = Heartbeat(args.work, sum(steps), finetuning.unit(recipe))

    frames, facts, before = [], [], 0
    with Energy() as energy:
        for run, count in zip(runs, steps, strict=True):
            folder = Path(args.work, run.name)
            if not (folder / work_folder.FACTS).exists():
                finetuning.finetune(
                    args, run, fingerprint, splits, tokenizer, classes,
                    report=lambda done, before=before: heartbeat.beat(before + done),
                )  # fmt: skip
            before += count
            work.remove_checkpoints(folder)
            frames.append(pd.read_parquet(folder / finetuning.PREDICTIONS).assign(**run.columns))
            facts.append(run.columns | io.read_json(folder / work_folder.FACTS))
    pd.concat(frames).to_parquet(args.predictions, index=False)
    texts = {split: rows.unseen for split, rows in splits.items()}
    counts = {"runs": len(facts), "rows": sum(map(len, frames))}
    io.write_json(args.manifest, counts | {"texts": texts, "sha256": io.sha256(args.predictions)})
    record.write(
        args, device=device, notes=notes, runs=facts, peak_memory_mb=measures.peak_memory_mb(),
        energy=measures.energy_used(energy), **work.history(args.work),
    )  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
