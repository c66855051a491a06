"""Fetch a task from the hub, local files or the embedded generator, and write it as one Parquet file of examples.

    python scripts/task.py --recipe task.json --examples examples.parquet --manifest manifest.json --record record.json

A row is an example: its split, its one or two texts, and its label (a class number or a score). The training examples
are shuffled once, so that smaller training sets are prefixes of larger ones.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import ClassLabel

from gridlaw import cli, io
from gridlaw.config.messages import suggest
from gridlaw.data import formats, hub, language, sources
from gridlaw.data.columns import MissingColumn
from gridlaw.tasks import kind
from gridlaw.words import count, join_and
from gridlaw.workflow import program, record

# A number in a csv file, whose cells are text.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
TYPES = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
# Largest number of classes in a sentence, and of characters of each.
NAMED, LONGEST = 6, 40


def main() -> None:
    args = program.parse("task", __doc__)
    recipe, facts = args.recipe, {}
    key = f"catalogue.tasks.{Path(args.examples).parent.name}"

    names = dict.fromkeys([recipe["train"], *recipe["validation"]])
    files = dict(zip(names, args.files, strict=True)) if args.files else {}
    if recipe["source"] == "hub":
        facts["commit"] = hub.commit(recipe["dataset"], recipe["revision"], "dataset", key)
    places = {split: str(files.get(split, f"split {split}")) for split in names}
    try:
        splits = {
            split: frame(rows, recipe, places[split]) for split, rows in load(recipe, files, facts.get("commit"), key)
        }
    except MissingColumn as error:
        raise cli.Failure(f"{key}.{'label' if error.name == recipe['label'] else 'text'}: {error}") from error
    labels = read_labels({split: examples["label"].tolist() for split, examples in splits.items()}, recipe, places)
    classes = find_classes(labels, recipe, places, key)
    numbers = {label: number for number, label in enumerate(classes or [])}
    for split, examples in splits.items():
        examples["label"] = [numbers.get(label, label) for label in labels[split]]
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


def load(recipe: dict, files: dict[str, str], commit: str | None, key: str) -> Iterator[tuple[str, dict[str, list]]]:
    """Yield the task's splits, the training split first: the columns of each, with None for a missing label.

    Args:
        files: of each split (`source: files`).
        commit: of the data set (`source: hub`).
        key: the configuration key of the task.
    """
    label = recipe["label"]
    for split in dict.fromkeys([recipe["train"], *recipe["validation"]]):
        if recipe["source"] == "hub":
            rows = hub.read_split(recipe["dataset"], recipe["config"], split, commit, key)
            for column in [*recipe["text"], label]:
                sources.require_column(rows, column, f"split {split}")
            columns = rows.select_columns([*recipe["text"], label])[:]
            if isinstance(rows.features[label], ClassLabel):
                # The hub hides labels so.
                columns[label] = [None if number == -1 else number for number in columns[label]]
            yield split, columns
        elif recipe["source"] == "files":
            yield split, sources.examples(files[split], recipe["text"], label)
        else:
            part = "train" if split == recipe["train"] else "validation"
            rows = language.examples(recipe["generator"], part, recipe["generator_seed"], recipe[f"{part}_size"])
            yield split, {column: [row[column] for row in rows] for column in [*recipe["text"], label]}


def frame(rows: dict[str, list], recipe: dict, place: str) -> pd.DataFrame:
    """Return a split's texts, and its labels as the source has them; missing texts, which occur in GLUE, become empty.

    Args:
        place: the split's file, or its name, for messages; its rows count from 1, without a header.
    """
    labels = rows[recipe["label"]]
    if not labels:
        raise cli.Failure(f"{place}: empty; expected at least one example")
    missing = [row for row, label in enumerate(labels, 1) if label is None]
    if missing:
        raise cli.Failure(
            f"{place}, row {missing[0]}: label is missing, as in {len(missing)} of {count(len(labels), 'row')};"
            " expected a split with labels, not a hidden test set"
        )
    examples = pd.DataFrame()
    for column in recipe["text"]:
        texts = [sources.to_text(value, place, row, column) or "" for row, value in enumerate(rows[column], 1)]
        if not any(map(str.strip, texts)):
            raise cli.Failure(f"{place}: column {column} is empty in every row; expected text")
        examples[column] = texts
    return examples.assign(label=pd.Series(labels, dtype=object))


def read_labels(labels: dict[str, list], recipe: dict, places: dict[str, str]) -> dict[str, list]:
    """Return the labels of each split as they are stored, all of one type.

    Args:
        labels: as the source has them.
        places: files of the splits, or their names, for messages.
    """
    if recipe["source"] == "files" and {formats.reader_of(place) for place in places.values()} == {"csv"}:
        labels = with_types(labels)
    read, stored = kind.find(recipe["kind"]).read_label, {split: [] for split in labels}
    for split, number, label in numbered(labels):
        try:
            stored[split].append(read(label))
        except ValueError as error:
            raise cli.Failure(f"{places[split]}, row {number}: label {error}") from error
    first = stored[recipe["train"]][0]
    for split, number, label in numbered(stored):
        if type(label) is not type(first):
            raise cli.Failure(
                f"{places[split]}, row {number}: label is {TYPES[type(label)]} ({label!r:.60}), and that of"
                f" {places[recipe['train']]}, row 1, is {TYPES[type(first)]} ({first!r:.60}); expected labels of one"
                " type"
            )
    return stored


def with_types(labels: dict[str, list]) -> dict[str, list]:
    """Return labels that are text, in files without types, as numbers if all of them are."""
    if not all(NUMBER.fullmatch(label) for _, _, label in numbered(labels)):
        return labels
    return {split: [float(label) if "." in label else int(label) for label in rows] for split, rows in labels.items()}


def numbered(labels: dict[str, list]) -> Iterator[tuple[str, int, object]]:
    """Yield split, row and label of each example."""
    for split, rows in labels.items():
        for number, label in enumerate(rows, 1):
            yield split, number, label


def find_classes(labels: dict[str, list], recipe: dict, places: dict[str, str], key: str) -> list | None:
    """Return the classes of the training split, which the others share; None for labels that are no classes."""
    train = recipe["train"]
    try:
        classes = kind.find(recipe["kind"]).find_classes(labels[train])
    except ValueError as error:
        raise cli.Failure(f"{key}.label: {recipe['label']}: {places[train]}: {error}") from error
    for split in recipe["validation"]:
        if len(set(labels[split])) == 1:
            print(f"note: {places[split]}: all labels are the same; a correlation with them is 0", file=sys.stderr)
    for split in recipe["validation"] if classes else ():
        counts, known = Counter(labels[split]), set(classes)
        if unknown := [label for label in counts if label not in known]:
            rows = sum(counts[label] for label in unknown)
            raise cli.Failure(
                f"{places[split]}, row {labels[split].index(unknown[0]) + 1}: label is {listed(unknown)}, in"
                f" {rows} of {count(len(labels[split]), 'row')}, and in no row of {places[train]}; expected a class of"
                f" the training split: {listed(classes)}"
                + (", not a hidden test set" if unknown == [-1] else suggest(unknown[0], classes))
            )
        if absent := [label for label in classes if label not in counts]:
            print(
                f"note: {places[split]} has no row with {listed(absent)}; such a class counts as 0 in averages over"
                " classes",
                file=sys.stderr,
            )
    return classes


def listed(classes: list) -> str:
    """Classes in a sentence, at most the first `NAMED`, long ones cut."""
    names = [name if name.isprintable() else repr(name)[1:-1] for name in map(str, classes[:NAMED])]
    short = [name if len(name) <= LONGEST else f"{name[:LONGEST]}…" for name in names]
    return join_and([*short, f"{len(classes) - NAMED} more"] if len(classes) > NAMED else short)


if __name__ == "__main__":
    cli.run(main)
