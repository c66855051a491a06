"""Fit the grid's scaling laws, and say of each what it is good for.

    python scripts/laws.py --recipe laws.json --runs runs.csv --curves curves.csv --summary summary.csv \
        --baselines baselines.csv --packs pack.json ... --laws laws.csv --fits fits.npz --record laws.json

Laws are of held-out loss by tokens for each model, by parameters at each size, and by both; of each task's score by
the loss; of throughput by ranks; and of what a run's own curve says of a longer one. The record holds them all, with
parameters, intervals, back-tests, hold-outs, a verdict, and the cells that one lacks with their cost; the table has a
line for each. The fits are what forecasts, decisions and figures are made by: the laws of loss by tokens and of scores,
with their points, back-tests and every resample.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from gridlaw import cli, evidence, fits, in_run, needs, record, speedup
from gridlaw.fits import Fits
from gridlaw.laws import Law
from gridlaw.sigmoid import ScoreLaw
from gridlaw.tables import read_table

COLUMNS = ["name", "state", "verdict", "points", "form"]


def main() -> None:
    parser = cli.parser(__doc__)
    for table in ("runs", "curves", "summary", "baselines"):
        parser.add_argument(f"--{table}", required=True, help=f"table of {table}, CSV")
    parser.add_argument("--packs", nargs="*", default=[], help="manifests of the packed corpus, JSON")
    parser.add_argument("--laws", required=True, help="the laws and their verdicts, CSV to write")
    parser.add_argument("--fits", required=True, help="the laws that forecasts are made by, NPZ to write")
    parser.add_argument("--record", required=True, help="all that is known of them, JSON to write")
    args = parser.parse_args()

    runs, most = evidence.read_runs(args.runs), evidence.available_tokens(args.packs)
    laws, found = [], {}
    for group in evidence.groups(runs, args.recipe["scaling"] == "strong"):
        of = {"group": group.name}
        prices = {params: needs.Prices.measured(group.runs, params, most) for params in evidence.PARAMETERS.values()}
        by_tokens = evidence.laws_by_tokens(group)
        scores = evidence.laws_of_scores(group, args.summary, args.baselines, args.recipe["tasks"])
        found[group.name] = Fits(by_tokens, scores)
        for model, law in by_tokens.items():
            laws.append(of | {"model": model} | told(law, needs.law_needs(law, prices["params"])))
        for law, params in evidence.laws_of_models(group):
            counts = {"embeddings": params == evidence.PARAMETERS["with"]}
            laws.append(of | counts | told(law, needs.law_needs(law, prices[params])))
        laws += [of | told(law, needs.score_needs(law, group.runs, prices["params"])) for law in scores]
    laws += throughput(runs)
    losses = read_table(args.curves)
    longer = [in_run.judge(name, curve) for name, curve in in_run.largest(losses, runs)]
    ranks = list(equivalences(runs)) if args.recipe["scaling"] == "strong" else []
    parameters = [
        {name: p["value"] if isinstance(p, dict) else p for name, p in (law.get("parameters") or {}).items()}
        for law in laws
    ]
    table = pd.DataFrame([*laws, *longer]).reindex(columns=COLUMNS)
    table.join(pd.DataFrame(parameters)).to_csv(args.laws, index=False)
    fits.write(args.fits, found)
    record.write(
        args.record,
        args.recipe,
        [args.runs, args.curves, args.summary, args.baselines, *args.packs],
        [args.laws, args.fits],
        laws=laws,
        in_run=longer,
        equivalence=ranks,
        left_out=evidence.left_out(runs),
    )


def told(law: Law | ScoreLaw, lacks: dict | None) -> dict:
    """A law with what it lacks."""
    return law.record() | {"reason": law.why, "verdict": needs.verdict(law.why, lacks), "needs": lacks}


def throughput(runs: pd.DataFrame) -> Iterator[dict]:
    """Of each model and size that was trained on several numbers of ranks."""
    for (model, size), group in runs[runs["corpus_tokens"] > 0].groupby(["model", "size"], sort=False):
        if group["ranks"].nunique() > 1:
            law = speedup.judge(f"{model} {size}", group)
            most = group[group["ranks"] == group["ranks"].max()]
            lacks = needs.speedup_needs([one["ranks"] for one in law["measured"]], most["hours"].sum())
            yield law | {"verdict": needs.verdict(law["verdict"], lacks), "needs": lacks}


def equivalences(runs: pd.DataFrame) -> Iterator[dict]:
    """Likewise, of the loss; a difference as large as that of seeds, else of held-out texts, is none."""
    trained = runs[(runs["corpus_tokens"] > 0) & runs["loss"].notna()]
    for (model, size), group in trained.groupby(["model", "size"], sort=False):
        if group["gpus"].nunique() > 1:
            seeds = group.groupby("gpus")["loss"].std().mean()
            margin = seeds if pd.notna(seeds) and seeds > 0 else group["held_out_loss_se"].mean()
            yield speedup.equivalence(f"{model} {size}", group, float(margin))


if __name__ == "__main__":
    cli.run(main)
