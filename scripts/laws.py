"""Fit the grid's scaling laws, back-test them and judge them.

    python scripts/laws.py --recipe laws.json --runs runs.csv --curves curves.csv --summary summary.csv \
        --baselines baselines.csv --packs pack.json ... --laws laws.csv --fits fits.npz --record laws.json

There are laws of held-out loss by tokens for each model, by parameters at each size, and by both; of each task's score
by the loss; of throughput by ranks; and extrapolations of each model's training curve. The record holds them all, with
parameters, intervals, back-tests, hold-outs, a verdict, and the cells that a law lacks with their cost. The table has a
row for each law. The file of fits holds what forecasts, decisions and figures need: the laws of loss by tokens and of
scores, with their points, back-tests and all bootstrap samples.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from gridlaw import cli
from gridlaw.laws import fits, in_run, missing, selection, speedup
from gridlaw.laws.fits import Fits
from gridlaw.laws.law import Law
from gridlaw.laws.score_curve import ScoreLaw
from gridlaw.tables import read_table
from gridlaw.workflow import program, record

COLUMNS = ["name", "state", "verdict", "points", "form"]


def main() -> None:
    args = program.parse("laws", __doc__)

    runs, most = selection.read_runs(args.runs), selection.available_tokens(args.packs)
    laws, fitted = [], {}
    for group in selection.groups(runs, args.recipe["scaling"] == "strong"):
        name = {"group": group.name}
        prices = {params: missing.Prices.measured(group.runs, params, most) for params in selection.PARAMETERS.values()}
        by_tokens = selection.laws_by_tokens(group)
        scores = selection.laws_of_scores(group, args.summary, args.baselines, args.recipe["tasks"])
        fitted[group.name] = Fits(by_tokens, scores)
        for model, law in by_tokens.items():
            laws.append(name | {"model": model} | with_needs(law, missing.law_needs(law, prices["params"])))
        for law, params in selection.laws_of_models(group):
            embeddings = {"embeddings": params == selection.PARAMETERS["with"]}
            laws.append(name | embeddings | with_needs(law, missing.law_needs(law, prices[params])))
        laws += [name | with_needs(law, missing.score_needs(law, group.runs, prices["params"])) for law in scores]
    laws += throughput(runs)
    losses = read_table(args.curves)
    curves = [in_run.judge(name, curve) for name, curve in in_run.largest(losses, runs)]
    ranks = list(equivalences(runs)) if args.recipe["scaling"] == "strong" else []
    parameters = [
        {name: p["value"] if isinstance(p, dict) else p for name, p in (law.get("parameters") or {}).items()}
        for law in laws
    ]
    table = pd.DataFrame([*laws, *curves]).reindex(columns=COLUMNS)
    table.join(pd.DataFrame(parameters)).to_csv(args.laws, index=False)
    fits.write(args.fits, fitted)
    record.write(args, laws=laws, in_run=curves, equivalence=ranks, left_out=selection.left_out(runs))


def with_needs(law: Law | ScoreLaw, lacks: dict | None) -> dict:
    """The record of a law, with the cells that it lacks."""
    return law.record() | {"reason": law.why, "verdict": missing.verdict(law.why, lacks), "needs": lacks}


def throughput(runs: pd.DataFrame) -> Iterator[dict]:
    """The law of throughput of each model and size that was trained on several numbers of ranks."""
    for (model, size), group in runs[runs["corpus_tokens"] > 0].groupby(["model", "size"], sort=False):
        if group["ranks"].nunique() > 1:
            law = speedup.judge(f"{model} {size}", group)
            most = group[group["ranks"] == group["ranks"].max()]
            lacks = missing.speedup_needs([row["ranks"] for row in law["measured"]], most["hours"].sum())
            yield law | {"verdict": missing.verdict(law["verdict"], lacks), "needs": lacks}


def equivalences(runs: pd.DataFrame) -> Iterator[dict]:
    """Tests that losses are equal across ranks, for each model and size that was trained on several.

    The margin is the standard deviation over seeds, or with one seed the standard error over the held-out text.
    """
    trained = runs[(runs["corpus_tokens"] > 0) & runs["loss"].notna()]
    for (model, size), group in trained.groupby(["model", "size"], sort=False):
        if group["gpus"].nunique() > 1:
            seeds = group.groupby("gpus")["loss"].std().mean()
            margin = seeds if pd.notna(seeds) and seeds > 0 else group["held_out_loss_se"].mean()
            yield speedup.equivalence(f"{model} {size}", group, float(margin))


if __name__ == "__main__":
    cli.run(main)
