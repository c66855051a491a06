"""Score one cell: compute the metrics of every task, pre-training seed and fine-tuning run from saved predictions.

    python scripts/score.py --recipe score.json --predictions SEED/TASK/predictions.parquet ... \
        --manifests SEED/TASK/manifest.json ... --scores scores.csv --record record.json

The last two folders in the path of a predictions file are the pre-training seed and the task.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gridlaw import cli
from gridlaw.tasks import kind, scoring
from gridlaw.workflow import program, record

RUN = ["train_set", "train_examples", "seed", "split"]


def main() -> None:
    args = program.parse("score", __doc__)

    tables = []
    for file in map(Path, args.predictions):
        task, seed = file.parts[-2], int(file.parts[-3])
        predictions = pd.read_parquet(file, columns=[*RUN, "label", "prediction"])
        tables.append(scores(predictions, args.recipe[task]).assign(task=task, pretrain_seed=seed))
    columns = [
        "pretrain_seed",
        "task",
        "train_set",
        "train_examples",
        "finetune_seed",
        "split",
        "examples",
        "metric",
        "value",
        "item_se",
    ]
    table = pd.concat(tables)[columns]
    table.to_csv(args.scores, index=False)
    if args.tensorboard:
        write_events(table, Path(args.tensorboard))
    record.write(args)


def scores(predictions: pd.DataFrame, task: dict) -> pd.DataFrame:
    """Return the metrics of a task's predictions, one row per run, split and metric."""
    dtype = kind.find(task["kind"]).dtype
    rows = []
    for run, group in predictions.groupby(RUN, sort=False):
        pair = group["prediction"].to_numpy(dtype), group["label"].to_numpy(dtype)
        values = scoring.compute(task["kind"], task["metrics"], *pair)
        errors = scoring.item_errors(task["kind"], task["metrics"], *pair)
        rows += [(*run, len(group), metric, value, errors[metric]) for metric, value in values.items()]
    columns = [*RUN, "examples", "metric", "value", "item_se"]
    return pd.DataFrame(rows, columns=columns).rename(columns={"seed": "finetune_seed"})


def write_events(scores: pd.DataFrame, folder: Path) -> None:
    """Write each run's scores for TensorBoard, beside the run's curves, over the number of training examples."""
    # Importing this can take as long as scoring a cell.
    from gridlaw.runtime import events

    runs = ["pretrain_seed", "task", "train_set", "finetune_seed"]
    for run, rows in scores.groupby(runs, sort=False):
        place = folder.joinpath(*map(str, run))
        events.remove(place, "scores")
        file = events.Events(place, "scores")
        several_splits = rows["split"].nunique() > 1
        for row in rows.itertuples():
            parts = ["score", row.task, *([row.split] if several_splits else []), row.metric]
            file.add(row.train_examples, {"/".join(parts): row.value})
        file.close()


if __name__ == "__main__":
    cli.run(main)
