"""Score the baseline of a task: the majority class, or for a regression the mean of the training labels.

    python scripts/baseline.py --recipe baseline.json --examples examples.parquet --task manifest.json --scores
    scores.csv \
        --record record.json

Every validation example gets the same prediction. Trained models should score better than this.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gridlaw import cli, io
from gridlaw.tasks import kind, scoring
from gridlaw.tasks.classes import Classes
from gridlaw.workflow import program, record


def main() -> None:
    args = program.parse("baseline", __doc__)
    recipe = args.recipe

    classes = Classes.of_task(Path(args.task).parent.name, io.read_json(args.task)["classes"], recipe.get("positive"))
    examples = pd.read_parquet(args.examples, columns=["split", "label"])
    labels = examples.loc[examples["split"] == recipe["train"], "label"]
    guess = kind.find(recipe["kind"]).guess(labels)
    rows = []
    for split in recipe["validation"]:
        truth = examples.loc[examples["split"] == split, "label"].to_numpy()
        values = scoring.compute(recipe["kind"], recipe["metrics"], classes, np.full_like(truth, guess), truth)
        rows += [
            (split, len(truth), metric, scoring.positive(metric, classes), value) for metric, value in values.items()
        ]
    pd.DataFrame(rows, columns=["split", "examples", "metric", "positive", "value"]).to_csv(args.scores, index=False)
    record.write(args)


if __name__ == "__main__":
    cli.run(main)
