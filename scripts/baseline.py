"""Score the baseline of a task: the majority class, or for a regression the mean of the training labels.

    python scripts/baseline.py --recipe baseline.json --examples examples.parquet --task manifest.json --scores
    scores.csv \
        --record record.json

Every validation example gets the same prediction. Trained models should score better than this.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gridlaw import cli
from gridlaw.tasks import kind, scoring
from gridlaw.workflow import program, record


def main() -> None:
    args = program.parse("baseline", __doc__)
    recipe = args.recipe

    examples = pd.read_parquet(args.examples, columns=["split", "label"])
    labels = examples.loc[examples["split"] == recipe["train"], "label"]
    guess = kind.find(recipe["kind"]).guess(labels)
    rows = []
    for split in recipe["validation"]:
        truth = examples.loc[examples["split"] == split, "label"].to_numpy()
        values = scoring.compute(recipe["kind"], recipe["metrics"], np.full_like(truth, guess), truth)
        rows += [(split, len(truth), metric, value) for metric, value in values.items()]
    pd.DataFrame(rows, columns=["split", "examples", "metric", "value"]).to_csv(args.scores, index=False)
    record.write(args)


if __name__ == "__main__":
    cli.run(main)
