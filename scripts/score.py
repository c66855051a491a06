"""Score one cell: compute the metrics of every task, pre-training seed and fine-tuning run from saved predictions.

    python scripts/score.py --recipe score.json --predictions SEED/TASK/predictions.parquet ... \
        --manifests SEED/TASK/manifest.json ... --tasks TASK/manifest.json ... --scores scores.csv --record record.json

The last two folders in the path of a predictions file are the pre-training seed and the task. A run has diverged if an
output of its head is not a finite number: it has no score. It is untrained if it predicts the same for every example,
the collapse of fine-tuning (Mosbach et al. 2021): its score stands, marked.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gridlaw import cli, io
from gridlaw.tasks import kind, scoring
from gridlaw.tasks.classes import Classes
from gridlaw.workflow import program, record

RUN = ["train_set", "train_examples", "seed"]
# Predictions of a regression that spread less than this share of the labels are the same.
SPREAD = 1e-3


def main() -> None:
    args = program.parse("score", __doc__)

    labels = {file.parent.name: io.read_json(file)["classes"] for file in map(Path, args.tasks)}
    tables = []
    for file in map(Path, args.predictions):
        name, seed = file.parts[-2], int(file.parts[-3])
        predictions = pd.read_parquet(file, columns=[*RUN, "split", "label", "prediction", "outputs"])
        task = args.recipe[name]
        classes = Classes.of_task(name, labels[name], task.get("positive"))
        tables.append(scores(predictions, task, classes).assign(task=name, pretrain_seed=seed))
    columns = [
        "pretrain_seed",
        "task",
        "train_set",
        "train_examples",
        "finetune_seed",
        "split",
        "examples",
        "metric",
        "positive",
        "value",
        "item_se",
        "trained",
        "diverged",
    ]
    table = pd.concat(tables)[columns]
    table.to_csv(args.scores, index=False)
    if args.tensorboard:
        write_events(table, Path(args.tensorboard))
    record.write(args)


def scores(predictions: pd.DataFrame, task: dict, classes: Classes | None) -> pd.DataFrame:
    """Return the metrics of a task's predictions, one row per run, split and metric."""
    dtype = kind.find(task["kind"]).dtype
    rows = []
    for run, of_run in predictions.groupby(RUN, sort=False):
        # Parquet has null for NaN in a list.
        diverged = not np.isfinite(np.concatenate(of_run["outputs"].to_numpy()).astype(float)).all()
        trained = not diverged and varies(of_run["prediction"], of_run["label"], dtype)
        for split, group in of_run.groupby("split", sort=False):
            pair = group["prediction"].to_numpy(dtype), group["label"].to_numpy(dtype)
            if diverged:
                values = errors = dict.fromkeys(task["metrics"], np.nan)
            else:
                values = scoring.compute(task["kind"], task["metrics"], classes, *pair)
                errors = scoring.item_errors(task["kind"], task["metrics"], classes, *pair)
            rows += [
                (*run, split, len(group), name, scoring.positive(name, classes), value, errors[name], trained, diverged)
                for name, value in values.items()
            ]
    columns = [*RUN, "split", "examples", "metric", "positive", "value", "item_se", "trained", "diverged"]
    return pd.DataFrame(rows, columns=columns).rename(columns={"seed": "finetune_seed"})


def varies(predictions: pd.Series, labels: pd.Series, dtype: str) -> bool:
    """Return whether predictions differ between examples, if labels do."""
    if np.issubdtype(dtype, np.floating):
        return np.ptp(predictions) > SPREAD * np.ptp(labels) or labels.nunique() == 1
    return predictions.nunique() > 1 or labels.nunique() == 1


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
        for row in rows.dropna(subset="value").itertuples():
            parts = ["score", row.task, *([row.split] if several_splits else []), row.metric]
            file.add(row.train_examples, {"/".join(parts): row.value})
        file.close()


if __name__ == "__main__":
    cli.run(main)
