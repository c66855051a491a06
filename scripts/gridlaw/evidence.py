"""What of a grid's tables may enter a law: runs that are comparable, each counted once.

In one fit are runs of one tokenizer, one mask rate of the held-out text, one learning-rate schedule and one number of
passes, which have laws of their own; in strong scaling those of one gpus value of each cell, for the others are the
same run again; and of models that have learnt more than how frequent each word is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gridlaw import holdout, laws, record, sigmoid
from gridlaw.laws import Law
from gridlaw.points import Points
from gridlaw.sigmoid import ScoreLaw
from gridlaw.tables import read_table
from gridlaw.words import short

# What runs of one law have in common.
COMMON = ["tokenizer", "held_out_mask_rate", "schedule", "decay_shape", "decay_ratio", "warmup_tokens", "passes"]
# Columns that a law counts parameters in.
PARAMETERS = {"with": "params", "without": "params_without_embeddings"}


@dataclass(frozen=True)
class Group:
    """Comparable runs.

    Args:
        name: what they have in common, where the grid has several such groups; else empty.
        runs: with the columns of the runs table, and `params`, `loss`, `seed`.
    """

    name: str
    runs: pd.DataFrame


def read_runs(file: str | Path) -> pd.DataFrame:
    """The table of runs, with the columns that laws want."""
    runs = read_table(file)
    # Of a run that went on from a trunk or a checkpoint only the rest was timed; it counts as if it had run on its own.
    whole = (runs["trained_tokens"] / runs["tokens_here"].where(runs["tokens_here"] > 0)).fillna(1.0)
    return runs.assign(
        params=runs["parameters"],
        params_without_embeddings=runs["parameters_without_embeddings"],
        loss=runs["held_out_loss"],
        seed=runs["pretrain_seed"],
        train_seconds=runs["train_seconds"] * whole,
        hours=runs["train_seconds"] * whole * runs["ranks"] / 3600,
    )


def tokens_there_are(packs: Iterable[str | Path]) -> float:
    """Tokens that the corpus has, in the tokenizer that makes the fewest of it; without a corpus there is no end."""
    return min((record.read_json(pack)["train"]["tokens"] for pack in packs), default=float("inf"))


def left_out(runs: pd.DataFrame) -> dict[str, str]:
    """Runs that enter no law, by name, and why."""
    why = pd.Series("", index=runs.index)
    why[runs["trained"].eq(False)] = "it has learnt no more than how frequent each word is"
    why[runs["loss"].isna()] = "it has no held-out loss"
    why[runs["corpus_tokens"].fillna(0) == 0] = "it is not pre-trained here"
    why[runs["status"] != "done"] = "it is missing"
    names = [run_name(run) for run in runs.itertuples()]
    return {name: reason for name, reason in zip(names, why, strict=True) if reason}


def groups(runs: pd.DataFrame, strong: bool) -> Iterator[Group]:
    """Groups of comparable runs, in the order of the table."""
    names = [run_name(run) for run in runs.itertuples()]
    used = runs[~pd.Series(names, index=runs.index).isin(left_out(runs))]
    if strong:
        used = used[used["gpus"] == used.groupby(["model", "size"])["gpus"].transform("min")]
    keys = COMMON if strong else [*COMMON, "gpus"]
    apart = [key for key in keys if used[key].nunique(dropna=False) > 1]
    for _, group in used.groupby(keys, sort=False, dropna=False):
        first = group.iloc[0]
        name = ", ".join(f"{key} {_said(first[key])}" for key in apart)
        yield Group(name, group)


def laws_by_tokens(group: Group) -> dict[str, Law]:
    """The law of each model, of loss by corpus tokens; forecasts of the other models are evidence as well."""
    models = {
        model: Points.from_runs(runs, ["corpus_tokens"]) for model, runs in group.runs.groupby("model", sort=False)
    }
    tests = {model: holdout.back_test(of) for model, of in models.items()}
    found = {}
    for model, points in models.items():
        others = [test for other, test in tests.items() if other != model and len(test)]
        params = float(group.runs.loc[group.runs["model"] == model, "params"].iloc[0])
        name = _named(f"{model}: loss by tokens", group)
        found[model] = laws.fit(name, points, ["corpus_tokens"], others, fixed={"params": params})
    return found


def laws_of_models(group: Group) -> Iterator[tuple[Law, str]]:
    """Laws over models: loss by parameters at each size, and by both axes, with embeddings and without; of each the
    column that it counts parameters in."""
    for _, runs in group.runs.groupby("size", sort=False):
        if runs["model"].nunique() > 1:
            tokens = float(runs["corpus_tokens"].median())
            name = _named(f"loss by parameters at {short(tokens)} tokens", group)
            law = laws.fit(name, _points(runs, ["params"]), ["params"], fixed={"corpus_tokens": tokens})
            yield law, PARAMETERS["with"]
    if group.runs["model"].nunique() > 1:
        for embeddings, column in PARAMETERS.items():
            name = _named(f"loss by parameters and tokens, {embeddings} embeddings", group)
            axes = ["params", "corpus_tokens"]
            yield laws.fit(name, _points(group.runs, [column, "corpus_tokens"]), axes), column


def _said(value: object) -> str:
    """A value of a column that came with gaps, where whole numbers are floats."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _points(runs: pd.DataFrame, axes: list[str]) -> Points:
    # A cell's text is a few tokens longer in one tokenizing than in another; sizes are what is meant to be equal.
    tokens = runs.groupby("size")["corpus_tokens"].transform("median")
    return Points.from_runs(runs.assign(corpus_tokens=tokens), axes)


def run_name(run) -> str:
    """What a run of the table is called."""
    return f"{run.model} {run.size} (gpus {run.gpus}, seed {run.pretrain_seed})"


def _named(name: str, group: Group) -> str:
    return f"{name} ({group.name})" if group.name else name


def laws_of_scores(group: Group, summary: str | Path, baselines: str | Path, tasks: list[dict]) -> list[ScoreLaw]:
    """The curve of each task's score by loss, over all models of a group.

    Args:
        tasks: what is forecast: `task`, `metric`, `split`, `train_set`.
    """
    scores = read_table(summary)
    floors = pd.read_csv(baselines).set_index(["task", "metric", "split"])["value"]
    cells = group.runs.groupby(["model", "size", "gpus"], as_index=False)["loss"].mean()
    found = []
    for wanted in tasks:
        of = scores[(scores[list(wanted)] == pd.Series(wanted)).all(axis=1)]
        table = cells.merge(of.rename(columns={"mean": "score"}), on=["model", "size", "gpus"])
        # A correlation has no majority class; by chance it is 0.
        floor = floors.get((wanted["task"], wanted["metric"], wanted["split"]))
        floor = 0.0 if floor is None or pd.isna(floor) else float(floor)
        found.append(sigmoid.fit(wanted["task"], wanted["metric"], table.dropna(subset=["score"]), floor))
    return found
