"""Score one cell: metrics of every task, pre-training seed and fine-tuning, from the saved predictions.

    python scripts/score.py --recipe score.json --predictions SEED/TASK/predictions.parquet ... \
        --manifests SEED/TASK/manifest.json ... --scores scores.csv --record record.json

The last two folders of a predictions file name the pre-training seed and the task.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gridlaw import cli, metrics, record

RUN = ["train_set", "train_examples", "seed", "split"]


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--predictions", nargs="+", required=True, help="predictions of the cell, Parquet")
    parser.add_argument("--manifests", nargs="+", required=True, help="their manifests, JSON")
    parser.add_argument("--scores", required=True, help="metrics to write, CSV")
    parser.add_argument("--record", required=True, help="how they were computed, JSON to write")
    parser.add_argument("--tensorboard", help="folder of TensorBoard's files of the cell's fine-tunings")
    args = parser.parse_args()

    tables = []
    for file in map(Path, args.predictions):
        task, seed = file.parts[-2], int(file.parts[-3])
        table = scores(pd.read_parquet(file, columns=[*RUN, "label", "prediction"]), args.recipe[task])
        tables.append(table.assign(task=task, pretrain_seed=seed))
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
    whole = pd.concat(tables)[columns]
    whole.to_csv(args.scores, index=False)
    if args.tensorboard:
        show(whole, Path(args.tensorboard))
    record.write(args.record, args.recipe, args.manifests, [args.scores])


def scores(predictions: pd.DataFrame, task: dict) -> pd.DataFrame:
    """Metrics of each run and split among a task's predictions, one a row."""
    whole = int if task["kind"] == "classification" else float
    rows = []
    for run, group in predictions.groupby(RUN, sort=False):
        said = group["prediction"].to_numpy(whole), group["label"].to_numpy(whole)
        values = metrics.compute(task["kind"], task["metrics"], *said)
        errors = metrics.item_errors(task["kind"], task["metrics"], *said)
        rows += [(*run, len(group), metric, value, errors[metric]) for metric, value in values.items()]
    columns = [*RUN, "examples", "metric", "value", "item_se"]
    return pd.DataFrame(rows, columns=columns).rename(columns={"seed": "finetune_seed"})


def show(scores: pd.DataFrame, folder: Path) -> None:
    """Leave each fine-tuning's scores beside its curves, over the examples that it was trained on."""
    # It takes as long to import as some cells to score.
    from gridlaw import events

    runs = ["pretrain_seed", "task", "train_set", "finetune_seed"]
    for run, rows in scores.groupby(runs, sort=False):
        place = folder.joinpath(*map(str, run))
        events.remove(place, "scores")
        file = events.Events(place, "scores")
        several = rows["split"].nunique() > 1
        for row in rows.itertuples():
            parts = ["score", row.task, *([row.split] if several else []), row.metric]
            file.add(row.train_examples, {"/".join(parts): row.value})
        file.close()


if __name__ == "__main__":
    cli.run(main)
