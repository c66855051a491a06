"""Selection of a grid's runs for laws: comparable runs, each counted once.

The runs of one fit have the same tokenizer, mask rate of the held-out text, learning-rate schedule and number of
epochs; others have laws of their own. In strong scaling a fit contains one gpus value of each cell, because the others
repeat the same run. Models that diverged or did not beat the unigram baseline are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gridlaw import io
from gridlaw.laws import backtesting, score_curve
from gridlaw.laws.law import Law, fit
from gridlaw.laws.points import Points
from gridlaw.laws.score_curve import ScoreLaw
from gridlaw.tables import read_table, smallest_gpus
from gridlaw.words import short

# Columns in which the runs of one law agree.
COMMON = ["tokenizer", "held_out_mask_rate", "schedule", "decay_shape", "decay_ratio", "warmup_tokens", "passes"]
# Column with the parameters of a law, with and without embeddings.
PARAMETERS = {"with": "params", "without": "params_without_embeddings"}


@dataclass(frozen=True)
class Group:
    """Comparable runs.

    Args:
        name: the settings that they share, if the grid has several groups; otherwise empty.
        runs: the columns of the runs table, and those that `read_runs` adds.
    """

    name: str
    runs: pd.DataFrame


def read_runs(file: str | Path) -> pd.DataFrame:
    """Read the table of runs, with additional columns for laws: `params`, `loss`, `seed`, and costs such as `hours`."""
    runs = read_table(file)
    # A run that continued from a trunk or a checkpoint timed only the rest; it counts as if it had run on its own.
    factor = (runs["trained_tokens"] / runs["tokens_here"].where(runs["tokens_here"] > 0)).fillna(1.0)
    return runs.assign(
        params=runs["parameters"],
        params_without_embeddings=runs["parameters_without_embeddings"],
        loss=runs["held_out_loss"],
        seed=runs["pretrain_seed"],
        train_seconds=runs["train_seconds"] * factor,
        hours=runs["train_seconds"] * factor * runs["ranks"] / 3600,
    )


def available_tokens(packs: Iterable[str | Path]) -> float:
    """Tokens of the corpus in the tokenizer with the fewest; infinity without a corpus."""
    return min((io.read_json(pack)["train"]["tokens"] for pack in packs), default=float("inf"))


def left_out(runs: pd.DataFrame) -> dict[str, str]:
    """Runs that enter no law, by name, with the reason."""
    why = pd.Series("", index=runs.index)
    why[runs["trained"].eq(False)] = "it has learnt no more than how frequent each word is"
    why[runs["loss"].isna()] = "it has no held-out loss"
    why[runs["diverged"].eq(True)] = "it diverged: a loss is not a finite number"
    why[runs["corpus_tokens"].fillna(0) == 0] = "it is not pre-trained here"
    why[runs["status"] != "done"] = "it is missing"
    names = [run_name(run) for run in runs.itertuples()]
    return {name: reason for name, reason in zip(names, why, strict=True) if reason}


def groups(runs: pd.DataFrame, strong: bool) -> Iterator[Group]:
    """Groups of comparable runs, in the order of the table."""
    names = [run_name(run) for run in runs.itertuples()]
    comparable = runs[~pd.Series(names, index=runs.index).isin(left_out(runs))]
    if strong:
        comparable = smallest_gpus(comparable)
    keys = COMMON if strong else [*COMMON, "gpus"]
    differing = [key for key in keys if comparable[key].nunique(dropna=False) > 1]
    for _, group in comparable.groupby(keys, sort=False, dropna=False):
        first = group.iloc[0]
        name = ", ".join(f"{key} {_setting(first[key])}" for key in differing)
        yield Group(name, group)


def laws_by_tokens(group: Group) -> dict[str, Law]:
    """Fit the law of loss by corpus tokens of each model; back-tests of the other models count too."""
    models = {
        model: Points.from_runs(runs, ["corpus_tokens"]) for model, runs in group.runs.groupby("model", sort=False)
    }
    tests = {model: backtesting.back_test(points) for model, points in models.items()}
    fitted = {}
    for model, points in models.items():
        others = [test for other, test in tests.items() if other != model and len(test)]
        params = float(group.runs.loc[group.runs["model"] == model, "params"].iloc[0])
        name = _named(f"{model}: loss by tokens", group)
        fitted[model] = fit(name, points, ["corpus_tokens"], others, fixed={"params": params})
    return fitted


def laws_of_models(group: Group) -> Iterator[tuple[Law, str]]:
    """Fit laws over models: loss by parameters at each size, and by parameters and tokens, with and without embeddings.

    Yields:
        each law with the column of its parameters.
    """
    for _, runs in group.runs.groupby("size", sort=False):
        if runs["model"].nunique() > 1:
            tokens = float(runs["corpus_tokens"].median())
            name = _named(f"loss by parameters at {short(tokens)} tokens", group)
            law = fit(name, _points(runs, ["params"]), ["params"], fixed={"corpus_tokens": tokens})
            yield law, PARAMETERS["with"]
    if group.runs["model"].nunique() > 1:
        for embeddings, column in PARAMETERS.items():
            name = _named(f"loss by parameters and tokens, {embeddings} embeddings", group)
            axes = ["params", "corpus_tokens"]
            yield fit(name, _points(group.runs, [column, "corpus_tokens"]), axes), column


def _setting(value: object) -> str:
    """A setting in words; whole numbers are floats in columns with missing values."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _points(runs: pd.DataFrame, axes: list[str]) -> Points:
    # The same size has a few tokens more in one tokenizer than in another; laws take the median.
    tokens = runs.groupby("size")["corpus_tokens"].transform("median")
    return Points.from_runs(runs.assign(corpus_tokens=tokens), axes)


def run_name(run) -> str:
    """The name of a run in sentences."""
    return f"{run.model} {run.size} (gpus {run.gpus}, seed {run.pretrain_seed})"


def _named(name: str, group: Group) -> str:
    return f"{name} ({group.name})" if group.name else name


def laws_of_scores(group: Group, summary: str | Path, baselines: str | Path, tasks: list[dict]) -> list[ScoreLaw]:
    """Fit the curve of each task's score by loss, over all models of a group.

    Args:
        tasks: the forecast quantities: `task`, `metric`, `split`, `train_set`.
    """
    scores = read_table(summary)
    floors = read_table(baselines).set_index(["task", "metric", "split"])["value"]
    cells = group.runs.groupby(["model", "size", "gpus"], as_index=False)["loss"].mean()
    curves = []
    for task in tasks:
        means = scores[(scores[list(task)] == pd.Series(task)).all(axis=1)]
        table = cells.merge(means.rename(columns={"mean": "score"}), on=["model", "size", "gpus"])
        # A correlation has no majority class; without any skill it is 0.
        floor = floors.get((task["task"], task["metric"], task["split"]))
        floor = 0.0 if floor is None or pd.isna(floor) else float(floor)
        curves.append(score_curve.fit(task["task"], task["metric"], table.dropna(subset=["score"]), floor))
    return curves
