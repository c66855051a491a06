"""Write the report: one page with answers, figures, tables, methods and provenance.

    python scripts/report.py --recipe report.json --runs runs.csv --summary summary.csv --attempts attempts.csv \
        --laws laws.json --forecasts forecasts.csv --decisions decisions.json --figures scores.svg loss.svg ... \
        --report report.html --record report-record.json

It opens from disk, asks nothing of the network, and says what cannot be said as well as what can. Of a grid that is not
finished, --states tells which cells are not done and why.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from gridlaw import caption, cli, grid, page, record, spending
from gridlaw.comparison import DIFFERENT, EQUIVALENT, NOT_SEPARABLE, ONE_SEED
from gridlaw.judging import LAW
from gridlaw.spending import Spending
from gridlaw.states import DONE
from gridlaw.tables import read_table
from gridlaw.words import join_and, percent, short

SECTIONS = ["Answers", "Figures", "Tables", "Grid", "Cost", "Methods", "Provenance"]
RUNS = [
    "model", "size", "gpus", "pretrain_seed", "status", "parameters", "corpus_tokens", "trained_tokens",
    "held_out_loss", "held_out_loss_se", "trained", "tokens_per_second", "train_seconds", "wall_seconds",
    "peak_memory_mb", "attempts", "mark",
]  # fmt: skip
UNKNOWN = "In the folder of the grid, with its configuration files, this makes it again:"
# Pixels that a point of a figure takes; 4 / 3 would be its own size.
LARGER = 1.85
# A crossover that so many resamples have is told.
LIKELY = 0.5
# Of more models than these the page does not compare every two in words.
FEW_MODELS = 4
# Names that a sentence lists.
NAMED = 6
SUMMARY = ["model", "size", "gpus", "task", "train_set", "split", "metric", "mean", "low", "high", "sd", "n", "note"]
FORECASTS = ["model", "size", "quantity", "state", "forecast", "low", "high", "verdict"]


def main() -> None:
    parser = cli.parser(__doc__)
    for name in ("runs", "summary", "attempts", "laws", "forecasts", "decisions"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"{name}, CSV or JSON")
    parser.add_argument("--figures", type=Path, nargs="+", required=True, help="figures, SVG, in their order")
    parser.add_argument("--predictions", type=Path, help="what runs of the workflow were predicted to take, JSON lines")
    parser.add_argument("--states", type=Path, help="states of the cells, JSON; by default all are done")
    parser.add_argument("--command", help="what makes the page again; by default it is not known")
    parser.add_argument("--report", type=Path, required=True, help="page to write, HTML")
    parser.add_argument("--record", required=True, help="how it was written, JSON to write")
    args = parser.parse_args()

    files = args.runs, args.summary, args.attempts, args.forecasts
    runs, summary, attempts, forecasts = map(read_table, files)
    laws, decisions = record.read_json(args.laws), record.read_json(args.decisions)
    states = record.read_json(args.states) if args.states else finished(runs)
    matrix = page.matrix(states["cells"])
    # Where the report alone is to be made, cells are not what it waits for.
    ahead = states["to_do"] if matrix["states"].keys() - {DONE} else {}
    html = page.render(
        title=title(args.recipe["models"]),
        state=state(matrix["states"]),
        sections=SECTIONS,
        terms=terms(runs),
        answers=answers(laws, decisions, forecasts),
        figures=[figure(file) for file in args.figures],
        tables=list(tables(runs, summary, forecasts, laws)),
        matrix=matrix,
        notes=states["notes"],
        cost=cost(Spending(attempts, args.recipe["cost"]), spending.predictions(args.predictions), ahead),
        methods=list(methods(args.recipe)),
        provenance=provenance(laws),
        again="Where gridlaw is, this makes it again:" if args.command else UNKNOWN,
        command=args.command or "snakemake --cores all",
    )
    args.report.write_text(html, encoding="utf-8")
    inputs = [args.runs, args.summary, args.attempts, args.laws, args.forecasts, args.decisions, *args.figures]
    record.write(args.record, args.recipe, inputs, [args.report])


def title(models: list[str]) -> str:
    """What the page is of."""
    of = join_and(models) if len(models) <= FEW_MODELS else f"{len(models)} models"
    return f"How {of} scale{'s' if len(models) == 1 else ''}"


def finished(runs: pd.DataFrame) -> dict:
    """States of a grid whose cells are all done."""
    cells = runs[["model", "size", "gpus"]].drop_duplicates().assign(state=DONE)
    return {"cells": cells.to_dict("records"), "notes": [], "to_do": {}}


def state(states: dict[str, int]) -> str:
    """How far the grid is, by the number of cells in each state."""
    number = sum(states.values())
    if states.get(DONE, 0) == number:
        return "The one cell of the grid is done." if number == 1 else f"All {number} cells of the grid are done."
    counts = join_and([f"{count} {name}" for name, count in states.items()])
    return f"This grid is not finished. Its {number} cells: {counts}. What follows is said from what is there."


def terms(runs: pd.DataFrame) -> str:
    """The words that answers use."""
    rank = "one CPU thread" if runs["device"].dropna().eq("cpu").all() else "one GPU"
    return (
        "Loss is that of words hidden in text that no model was trained on, in nats; lower is better. A size is the"
        f" text that a model was pre-trained on, in tokens. A rank is {rank}; rank-hours are those of pre-training."
        " Numbers in brackets are 95 % intervals."
    )


def answers(laws: dict, decisions: dict, forecasts: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """What each answer is of, and its words, under what they answer; what was refused stands at the end."""
    found: dict[str, list[tuple[str, str]]] = {
        "What more text and larger models bring": [],
        "What more ranks bring": [],
        "Which model": [],
        "What the next rank-hours are worth": [],
        "What cannot be said, and why": [],
    }
    text, ranks, model, hours, unsaid = found.values()
    of_ranks = [law for law in laws["laws"] if "measured" in law]
    others = [*(law for law in laws["laws"] if "measured" not in law), *laws["in_run"]]
    text += [(law["name"], law["verdict"]) for law in others if law["state"] == LAW]
    text += nearest(forecasts)
    ranks += [(law["name"], law["verdict"]) for law in of_ranks]
    ranks += [(one["name"], one["verdict"]) for one in laws["equivalence"] if one["verdict"]]
    for group in decisions["groups"]:
        of = group["group"]
        model += [(of, words) for words in compared(group["comparisons"])]
        unsaid += [(of, group["second_seed"]["verdict"])] if group["second_seed"] else []
        crossing = [one for one in group["crossovers"] if one.get("share_of_draws", 0) >= LIKELY]
        model += [(of, one["verdict"]) for one in (*crossing, *group["budgets"])]
        hours += [(of, one["verdict"]) for one in (*group["returns"], group["next"])]
    model += [("By the average over tasks", words) for words in compared(decisions["averages"])]
    unsaid += refusals([law for law in others if law["state"] != LAW])
    left_out = laws["left_out"]
    by_reason = {why: [name for name, other in left_out.items() if other == why] for why in left_out.values()}
    unsaid += [("Left out of every law", f"{few(names)}, because {why}.") for why, names in by_reason.items()]
    return {heading: list(dict.fromkeys(said)) for heading, said in found.items()}


def nearest(forecasts: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Of each model the forecast of the nearest larger size, those of lowest loss first."""
    known = forecasts.dropna(subset=["forecast"])
    known = known[known["corpus_tokens"] == known.groupby("model")["corpus_tokens"].transform("min")]
    order = known.groupby("model")["forecast"].first().sort_values().index[:NAMED]
    for name in order:
        own = known[known["model"] == name]
        said = [f"{row.quantity} {row.forecast:.3f} ({row.low:.3f} to {row.high:.3f})" for row in own.itertuples()]
        words = f"{join_and(said)}."
        yield f"{name} on {own['size'].iloc[0]} tokens, forecast", words[0].upper() + words[1:]


def refusals(laws: list[dict]) -> Iterator[tuple[str, str]]:
    """Which laws there are not, and why, each reason once, and what would help; of several the one that takes least."""
    alike: dict[str, list[dict]] = {}
    for law in laws:
        alike.setdefault(law.get("reason", law["verdict"]), []).append(law)
    for reason, own in alike.items():
        said = reason
        if helped := [law for law in own if law.get("needs")]:
            least = min(helped, key=lambda law: law["needs"]["cost"] or math.inf)
            said += (
                f" For {least['name']}: {least['needs']['words']}" if len(own) > 1 else f" {least['needs']['words']}"
            )
        yield few([law["name"] for law in own]), said


def few(names: list[str]) -> str:
    """Names as a sentence lists them, the first of many."""
    return join_and(names if len(names) <= NAMED else [*names[:NAMED], f"{len(names) - NAMED} more"])


def compared(pairs: list[dict]) -> Iterator[str]:
    """What comparisons of models at single sizes say together; of many models, at the largest size and in numbers."""
    if len({pair[side] for pair in pairs for side in ("a", "b")}) > FEW_MODELS:
        largest = max((pair["size"] for pair in pairs), key=grid.size_order)
        pairs = [pair for pair in pairs if pair["size"] == largest]
        wins = Counter(pair["better"] for pair in pairs if pair["better"])
        for best, number in wins.most_common(1):
            even = [{pair["a"], pair["b"]} for pair in pairs if pair["conclusion"] == NOT_SEPARABLE]
            alike = sorted(model for pair in even if best in pair for model in pair - {best})
            others = f"; not separable from it: {join_and(alike)}" if alike else ""
            yield f"{best} is better than {number} others at {largest}{others}."
        counts = Counter(pair["conclusion"] for pair in pairs)
        of = f"of {len(pairs)} pairs of models at {largest} are"
        yield f"{counts[NOT_SEPARABLE]} {of} not separable."
        if counts[EQUIVALENT]:
            yield f"{counts[EQUIVALENT]} {of} equivalent."
        if counts[ONE_SEED]:
            yield f"{counts[ONE_SEED]} {of} of one seed, so that nothing can be said."
        return
    sizes: dict[tuple, list[str]] = {}
    for pair in pairs:
        sizes.setdefault((pair["a"], pair["b"], pair["better"], pair["conclusion"]), []).append(pair["size"])
    for (a, b, better, conclusion), at in sizes.items():
        if conclusion == DIFFERENT:
            yield f"{better} is better than {b if better == a else a} at {join_and(at)}."
        elif conclusion == ONE_SEED:
            yield f"{a} and {b}: with one seed nothing can be said at {join_and(at)}."
        else:
            yield f"{a} and {b} are {conclusion} at {join_and(at)}."


def figure(file: Path) -> dict[str, str | int]:
    """A figure of the page, larger than in a journal."""
    title, text = caption.read("figures", file.stem)
    content = file.read_bytes()
    points = re.search(rb'<svg [^>]*width="([\d.]+)pt"', content)
    source = page.source(content, "image/svg+xml")
    return {
        "name": file.stem,
        "title": title,
        "caption": text,
        "source": source,
        "width": round(float(points[1]) * LARGER),
    }


def tables(runs: pd.DataFrame, summary: pd.DataFrame, forecasts: pd.DataFrame, laws: dict) -> Iterator[dict]:
    """The page's tables."""
    scores = summary[SUMMARY].dropna(axis=1, how="all")
    yield page.table("summary", "Scores", "Means over seeds with 95 % t intervals.", scores)
    yield page.table("forecasts", "Forecasts", "With 95 % intervals, or why there is none.", forecasts[FORECASTS])
    columns = ["name", "state", "form", "verdict"]
    yield page.table("laws", "Laws", "All that were tried.", pd.DataFrame(laws["laws"]).reindex(columns=columns))
    yield page.table("runs", "Pre-training runs", "One a row.", runs[RUNS].dropna(axis=1, how="all"))


def cost(spent: Spending, predictions: list[dict], to_do: dict[str, str]) -> dict:
    """What the grid took, what it was predicted to take, and what would finish it."""
    compared = spent.compared(predictions)
    tables = [page.table("spent", "What trainings took", "Failed and interrupted attempts are in it.", spent.table())]
    if len(compared):
        caption = "A row for each run of the workflow that trained something; it was predicted when the run began."
        tables.append(page.table("predicted", "Predicted and taken", caption, compared))
    ahead = [f"To finish the grid: {'; '.join(to_do.values())}."] if to_do else []
    return {"sentences": [" ".join(spent.words()), *ahead], "tables": tables}


def methods(recipe: dict) -> Iterator[str]:
    """In the words that a paper needs."""
    seeds, pretrain, finetune, data = (recipe[name] for name in ("seeds", "pretrain", "finetune", "data"))
    corpus = f"the corpus {recipe['corpus']}" if recipe["corpus"] else "no further text"
    read = "once" if pretrain["passes"] == 1 else f"{pretrain['passes']} times"
    yield (
        f"Models were pre-trained on {corpus} by masked language modelling with a mask rate of"
        f" {pretrain['mask_rate']:g}, each size being a prefix of one shuffle of segments of at most"
        f" {data['segment_words']} words, in rows of {data['row_length']} tokens that were read {read}. Updates were of"
        f" {pretrain['batch_size']} rows by AdamW with a peak learning rate of {pretrain['learning_rate']:g},"
        f" weight decay {pretrain['weight_decay']:g} and beta2 {pretrain['adam_beta2']:g}, a warm-up of"
        f" {short(pretrain['warmup_tokens'])} tokens and a {pretrain['decay_shape']} decay over the last"
        f" {percent(pretrain['decay_ratio'])} of a run; single models may differ, as the records say."
    )
    yield (
        f"Held-out loss is that of masked tokens, {percent(pretrain['held_out_mask_rate'])} of the text for every"
        f" model, in whole documents, {data['held_out_words']:,} words, that were set aside first. Each model was"
        f" fine-tuned on {join_and(recipe['tasks'])} for {finetune['epochs']} epochs with"
        f" batches of {finetune['batch_size']} and a peak learning rate of {finetune['learning_rate']:g}. Seeds of"
        f" pre-training: {len(seeds['pretrain'])}, of fine-tuning: {len(seeds['finetune'])}."
    )
    yield (
        "Laws were fitted to logarithms with the Huber loss (Hoffmann et al. 2022) and judged by forecasts of"
        " the larger cells from the smaller ones; intervals take in the scatter of seeds, other forms of the law,"
        " and the errors of those forecasts. Models were compared by Welch's t test, all pairs corrected together"
        " (Holm 1979)."
    )


def provenance(laws: dict) -> str:
    """Where the numbers come from."""
    environment = laws["environment"]
    packages = [f"{name} {environment[name]}" for name in ("torch", "transformers", "datasets") if name in environment]
    when = laws["started"].replace("T", " ").replace("+00:00", " UTC")
    return (
        f"Laws were fitted {when} on {laws['host']} with Python {environment['python']},"
        f" {', '.join(packages)}. Beside every result lies its record: recipe, digests of code and inputs, environment,"
        " hardware, time and attempts."
    )


if __name__ == "__main__":
    cli.run(main)
