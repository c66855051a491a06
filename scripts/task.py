"""Fetch a task from the hub, local files or the embedded generator, and write it as one Parquet file of examples.

    python scripts/task.py --recipe task.json --examples examples.parquet --manifest manifest.json --record record.json

A row is an example: its split, its one or two texts, and its label (a class number or a score). The training examples
are shuffled once, so that smaller training sets are prefixes of larger ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import ClassLabel, Dataset

from gridlaw import cli, io
from gridlaw.data import hub, language, sources
from gridlaw.tasks import kind
from gridlaw.workflow import program, record


def main() -> None:
    args = program.parse("task", __doc__)
    recipe, facts = args.recipe, {}
    key = f"catalogue.tasks.{Path(args.examples).parent.name}"

    names = dict.fromkeys([recipe["train"], *recipe["validation"]])
    files = dict(zip(names, args.files, strict=True)) if args.files else {}
    if recipe["source"] == "hub":
        facts["commit"] = hub.commit(recipe["dataset"], recipe["revision"], "dataset", key)
    splits = {split: frame(rows, recipe, split) for split, rows in load(recipe, files, facts.get("commit"), key)}

    classes = kind.find(recipe["kind"]).find_classes(
        [examples["label"] for examples in splits.values()], recipe["label"]
    )
    if classes:
        numbers = {label: number for number, label in enumerate(classes)}
        for examples in splits.values():
            examples["label"] = examples["label"].map(numbers)
    train = splits[recipe["train"]]
    order = np.random.default_rng(recipe["seed"]).permutation(len(train))
    splits[recipe["train"]] = train.iloc[order]
    for split, examples in splits.items():
        examples.insert(0, "split", split)
    pd.concat(splits.values()).to_parquet(args.examples, index=False)

    io.write_json(
        args.manifest,
        {**facts, "splits": {split: len(examples) for split, examples in splits.items()}, "classes": classes,
         "sha256": io.sha256(args.examples)},
    )  # fmt: skip
    record.write(args, **facts)


def load(recipe: dict, files: dict[str, str], commit: str | None, key: str) -> Iterator[tuple[str, Dataset]]:
    """Yield the task's splits, the training split first.

    Args:
        files: of each split (`source: files`).
        commit: of the data set (`source: hub`).
        key: the configuration key of the task.
    """
    for split in dict.fromkeys([recipe["train"], *recipe["validation"]]):
        if recipe["source"] == "hub":
            yield split, hub.read_split(recipe["dataset"], recipe["config"], split, commit, key)
        elif recipe["source"] == "files":
            yield split, sources.examples(files[split], recipe["text"], recipe["label"])
        else:
            part = "train" if split == recipe["train"] else "validation"
            yield (
                split,
                Dataset.from_list(
                    language.examples(recipe["generator"], part, recipe["generator_seed"], recipe[f"{part}_size"])
                ),
            )


def frame(rows: Dataset, recipe: dict, split: str) -> pd.DataFrame:
    """Return a split's texts and labels; missing texts, which occur in GLUE, become empty."""
    for column in [*recipe["text"], recipe["label"]]:
        sources.require_column(rows, column, f"split {split}")
    if not len(rows):
        raise cli.Failure(f"split {split}: empty; expected at least one example")
    examples = pd.DataFrame({column: rows[column][:] for column in recipe["text"]})
    labels = rows[recipe["label"]][:]
    feature = rows.features[recipe["label"]]
    if any(label is None or (label == -1 and isinstance(feature, ClassLabel)) for label in labels):
        raise cli.Failure(
            f"split {split}: some labels are missing; expected a split with labels, not a hidden test set"
        )
    examples["label"] = kind.find(recipe["kind"]).read_labels(labels, f"split {split}: label {recipe['label']}")
    return examples.fillna(dict.fromkeys(recipe["text"], ""))


if __name__ == "__main__":
    cli.run(main)
