"""Write the report: one page with answers, figures, tables, methods and provenance.

    python scripts/report.py --recipe report.json --runs runs.csv --summary summary.csv --attempts attempts.csv \
        --laws laws.json --forecasts forecasts.csv --decisions decisions.json --figures scores.svg loss.svg ... \
        --report report.html --record report-record.json

The page opens from disk, loads nothing from the network, and also lists the questions that the grid cannot answer. For
an unfinished grid, --states gives the states of the cells and the reasons.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from gridlaw import cli, io
from gridlaw.config import grid
from gridlaw.cost import spending
from gridlaw.cost.spending import Spending
from gridlaw.data.coverage import NOTABLE
from gridlaw.laws.judging import LAW
from gridlaw.report import caption, page
from gridlaw.stats.comparison import DIFFERENT, EQUIVALENT, NOT_SEPARABLE, ONE_SEED
from gridlaw.tables import read_table
from gridlaw.words import count, join_and, percent, short
from gridlaw.workflow import program, record
from gridlaw.workflow.states import DONE

SECTIONS = ["Answers", "Figures", "Tables", "Grid", "Cost", "Methods", "Provenance"]
RUNS = [
    "model", "size", "gpus", "pretrain_seed", "status", "parameters", "corpus_tokens", "trained_tokens",
    "held_out_loss", "held_out_loss_se", "trained", "diverged", "tokens_per_second", "train_seconds", "wall_seconds",
    "peak_memory_mb", "attempts", "mark",
]  # fmt: skip
REPRODUCE = "To reproduce the page, run this in the folder of gridlaw:"
REPRODUCE_ANYWHERE = "To reproduce the page, run this in the folder of the grid, with its configuration files:"
# Pixels for a point of a figure; 4 / 3 would be its original size.
LARGER = 1.85
# A crossover is reported if at least this share of bootstrap samples has it.
LIKELY = 0.5
# With more models the page does not list every pair.
FEW_MODELS = 4
ALL_TASKS = "all tasks"
# Largest number of names in a sentence.
NAMED = 6
SUMMARY = [
    "model", "size", "gpus", "task", "train_set", "split", "metric", "positive", "mean", "low", "high", "sd", "n",
    "caveat", "note",
]  # fmt: skip
FORECASTS = ["model", "size", "quantity", "state", "forecast", "low", "high", "verdict"]


def main() -> None:
    args = program.parse("report", __doc__)

    files = args.runs, args.summary, args.attempts, args.texts, args.forecasts
    runs, summary, attempts, texts, forecasts = map(read_table, files)
    laws, decisions = io.read_json(args.laws), io.read_json(args.decisions)
    states = io.read_json(args.states) if args.states else finished(runs)
    matrix = page.matrix(states["cells"])
    # If every cell is done and only the report is missing, nothing is left to estimate.
    to_do = states["to_do"] if matrix["states"].keys() - {DONE} else {}
    html = page.render(
        title=title(args.recipe["models"]),
        state=state(matrix["states"]),
        sections=SECTIONS,
        terms=terms(runs),
        answers=answers(laws, decisions, forecasts, summary, texts),
        figures=[figure(Path(file)) for file in args.figures],
        tables=list(tables(runs, summary, forecasts, laws, texts)),
        matrix=matrix,
        notes=states["notes"],
        cost=cost(Spending(attempts, args.recipe["cost"]), spending.predictions(args.predictions), to_do),
        methods=list(methods(args.recipe, texts)),
        provenance=provenance(laws),
        again=REPRODUCE if args.command else REPRODUCE_ANYWHERE,
        command=args.command or "snakemake --cores all",
    )
    Path(args.report).write_text(html, encoding="utf-8")
    record.write(args)


def title(models: list[str]) -> str:
    """The title of the page."""
    names = join_and(models) if len(models) <= FEW_MODELS else f"{len(models)} models"
    return f"How {names} scale{'s' if len(models) == 1 else ''}"


def finished(runs: pd.DataFrame) -> dict:
    """The states of a grid whose cells are all done."""
    cells = runs[["model", "size", "gpus"]].drop_duplicates().assign(state=DONE)
    return {"cells": cells.to_dict("records"), "notes": [], "to_do": {}}


def state(states: dict[str, int]) -> str:
    """The state of the grid in a sentence, from the number of cells in each state."""
    number = sum(states.values())
    if states.get(DONE, 0) == number:
        return "The one cell of the grid is done." if number == 1 else f"All {number} cells of the grid are done."
    counts = join_and([f"{count} {name}" for name, count in states.items()])
    return f"This grid is not finished. Its {number} cells: {counts}. The page shows the results so far."


def terms(runs: pd.DataFrame) -> str:
    """Definitions of the words in the answers."""
    rank = "one CPU thread" if runs["device"].dropna().eq("cpu").all() else "one GPU"
    return (
        "Loss is the held-out loss of masked tokens, in nats; lower is better. A size is the text that a model was"
        f" pre-trained on, in tokens. A rank is {rank}; rank-hours are those of pre-training. Numbers in brackets are"
        " 95 % intervals."
    )


def answers(
    laws: dict, decisions: dict, forecasts: pd.DataFrame, summary: pd.DataFrame, texts: pd.DataFrame
) -> dict[str, list[tuple[str, str]]]:
    """Answers under their questions, each with its subject; text that is not seen comes first, refusals last."""
    sections: dict[str, list[tuple[str, str]]] = {
        "What models do not see of the text": list(unseen(texts)),
        "What more text and larger models bring": [],
        "What more ranks bring": [],
        "Which model": [],
        "What the next rank-hours are worth": [],
        "What cannot be said, and why": [],
    }
    _, text, ranks, model, hours, refused = sections.values()
    throughput = [law for law in laws["laws"] if "measured" in law]
    others = [*(law for law in laws["laws"] if "measured" not in law), *laws["in_run"]]
    text += [(law["name"], law["verdict"]) for law in others if law["state"] == LAW]
    text += nearest(forecasts)
    ranks += [(law["name"], law["verdict"]) for law in throughput]
    ranks += [(test["name"], test["verdict"]) for test in laws["equivalence"] if test["verdict"]]
    for group in decisions["groups"]:
        name = group["group"]
        model += [(name, words) for words in comparisons(group["comparisons"])]
        refused += [(name, group["second_seed"]["verdict"])] if group["second_seed"] else []
        crossovers = [pair for pair in group["crossovers"] if pair.get("share_of_draws", 0) >= LIKELY]
        model += [(name, answer["verdict"]) for answer in (*crossovers, *group["budgets"])]
        hours += [(name, answer["verdict"]) for answer in (*group["returns"], group["next"])]
    model += [("By the average over tasks", words) for words in comparisons(decisions["averages"])]
    refused += refusals([law for law in others if law["state"] != LAW])
    refused += caveats(summary)
    left_out = laws["left_out"]
    by_reason = {why: [name for name, other in left_out.items() if other == why] for why in left_out.values()}
    refused += [("Left out of every law", f"{few(names)}, because {why}.") for why, names in by_reason.items()]
    return {heading: list(dict.fromkeys(sentences)) for heading, sentences in sections.items()}


def unseen(texts: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Sentences on texts of which a notable share is unknown to a tokenizer, and on tasks whose examples are cut."""
    for column, units, fate in (
        ("unknown_characters", "the characters", "unknown to the tokenizer"),
        ("truncated", "the examples", "longer than finetune.max_length, and cut"),
    ):
        notable = texts[texts[column] >= NOTABLE].sort_values(column, ascending=False, kind="stable")
        for (text, tokenizer), rows in notable.groupby(["text", "tokenizer"], sort=False):
            shares = dict(zip(rows["split"].str.replace("_", " "), rows[column].map(percent), strict=False))
            words = join_and([f"{share} of {units} ({split})" for split, share in shares.items()])
            yield f"{text} as {tokenizer} reads it", f"{words} are {fate}."


def nearest(forecasts: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """The forecast of the nearest larger size of each model, those of lowest loss first."""
    known = forecasts.dropna(subset=["forecast"])
    known = known[known["corpus_tokens"] == known.groupby("model")["corpus_tokens"].transform("min")]
    order = known.groupby("model")["forecast"].first().sort_values().index[:NAMED]
    for name in order:
        group = known[known["model"] == name]
        values = [f"{row.quantity} {row.forecast:.3f} ({row.low:.3f} to {row.high:.3f})" for row in group.itertuples()]
        words = f"{join_and(values)}."
        yield f"{name} on {group['size'].iloc[0]} tokens, forecast", words[0].upper() + words[1:]


def refusals(laws: list[dict]) -> Iterator[tuple[str, str]]:
    """The refused laws by reason, each reason once, with the cheapest cells that would help."""
    alike: dict[str, list[dict]] = {}
    for law in laws:
        alike.setdefault(law.get("reason", law["verdict"]), []).append(law)
    for reason, group in alike.items():
        words = reason
        if curable := [law for law in group if law.get("needs")]:
            least = min(curable, key=lambda law: law["needs"]["cost"] or math.inf)
            words += (
                f" For {least['name']}: {least['needs']['words']}" if len(group) > 1 else f" {least['needs']['words']}"
            )
        yield few([law["name"] for law in group]), words


def caveats(summary: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Sentences on the fine-tunings that diverged, and on untrained ones, with their cells."""
    tasks = summary[summary["note"].isna() & (summary["task"] != ALL_TASKS)]
    effects = {
        "diverged": ("Fine-tunings that diverged", "They have no score, and enter no mean, law or comparison."),
        "untrained": (
            "Fine-tunings that learnt nothing",
            "They predict the same for every example; their scores count, and the means are marked.",
        ),
    }
    for name, (heading, effect) in effects.items():
        cells = tasks[tasks[name] > 0].drop_duplicates(["model", "size", "gpus", "task", "train_set"])
        places = [
            f"{row.model} at {row.size} on {row.task} ({getattr(row, name)} of {int(row.n) + row.diverged})"
            for row in cells.itertuples()
        ]
        if places:
            yield heading, f"{few(places)}. {effect}"


def few(names: list[str]) -> str:
    """Names in a sentence, at most the first `NAMED`."""
    return join_and(names if len(names) <= NAMED else [*names[:NAMED], f"{len(names) - NAMED} more"])


def comparisons(pairs: list[dict]) -> Iterator[str]:
    """Sentences on the comparisons of models over all sizes; for many models, counts at the largest size."""
    if len({pair[side] for pair in pairs for side in ("a", "b")}) > FEW_MODELS:
        largest = max((pair["size"] for pair in pairs), key=grid.size_order)
        pairs = [pair for pair in pairs if pair["size"] == largest]
        wins = Counter(pair["better"] for pair in pairs if pair["better"])
        for best, number in wins.most_common(1):
            not_separable = [{pair["a"], pair["b"]} for pair in pairs if pair["conclusion"] == NOT_SEPARABLE]
            alike = sorted(model for pair in not_separable if best in pair for model in pair - {best})
            others = f"; not separable from it: {join_and(alike)}" if alike else ""
            yield f"{best} is better than {number} others at {largest}{others}."
        counts = Counter(pair["conclusion"] for pair in pairs)
        pairs_words = f"of {len(pairs)} pairs of models at {largest} are"
        yield f"{counts[NOT_SEPARABLE]} {pairs_words} not separable."
        if counts[EQUIVALENT]:
            yield f"{counts[EQUIVALENT]} {pairs_words} equivalent."
        if counts[ONE_SEED]:
            yield f"{counts[ONE_SEED]} {pairs_words} of one seed, too few for a comparison."
        return
    sizes: dict[tuple, list[str]] = {}
    for pair in pairs:
        sizes.setdefault((pair["a"], pair["b"], pair["better"], pair["conclusion"]), []).append(pair["size"])
    for (a, b, better, conclusion), names in sizes.items():
        if conclusion == DIFFERENT:
            yield f"{better} is better than {b if better == a else a} at {join_and(names)}."
        elif conclusion == ONE_SEED:
            yield f"{a} and {b}: one seed is too few for a comparison at {join_and(names)}."
        else:
            yield f"{a} and {b} are {conclusion} at {join_and(names)}."


def figure(file: Path) -> dict[str, str | int]:
    """A figure for the page, larger than in a journal."""
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


def tables(
    runs: pd.DataFrame, summary: pd.DataFrame, forecasts: pd.DataFrame, laws: dict, texts: pd.DataFrame
) -> Iterator[dict]:
    """The page's tables."""
    scores = summary[SUMMARY].dropna(axis=1, how="all")
    of_fewer = " The caveat names means without runs that diverged, or with untrained ones." * ("caveat" in scores)
    yield page.table("summary", "Scores", f"Means over seeds with 95 % t intervals.{of_fewer}", scores)
    caption = "Forecasts with 95 % intervals, or the reason why there is none."
    yield page.table("forecasts", "Forecasts", caption, forecasts[FORECASTS])
    columns = ["name", "state", "form", "verdict"]
    judged = pd.DataFrame(laws["laws"]).reindex(columns=columns)
    yield page.table("laws", "Laws", "All laws, refused ones included.", judged)
    yield page.table("runs", "Pre-training runs", "A row for each run.", runs[RUNS].dropna(axis=1, how="all"))
    caption = "Parts of the corpus and of the tasks that models read, with the shares that they do not see."
    yield page.table("texts", "Texts", caption, texts.dropna(axis=1, how="all"))


def cost(spent: Spending, predictions: list[dict], to_do: dict[str, str]) -> dict:
    """Actual costs of the grid, predicted costs, and the cost to finish it."""
    comparisons = spent.comparison(predictions)
    tables = [page.table("spent", "Costs of trainings", "Failed and interrupted attempts included.", spent.table())]
    if len(comparisons):
        caption = "A row for each run of the workflow that trained something; predictions are from its start."
        tables.append(page.table("predicted", "Predicted and actual costs", caption, comparisons))
    remaining = [f"To finish the grid: {'; '.join(to_do.values())}."] if to_do else []
    return {"sentences": [" ".join(spent.words()), *remaining], "tables": tables}


def methods(recipe: dict, texts: pd.DataFrame) -> Iterator[str]:
    """The methods, in the words of a paper."""
    seeds, pretrain, finetune, data = (recipe[name] for name in ("seeds", "pretrain", "finetune", "data"))
    corpus = f"the corpus {recipe['corpus']}" if recipe["corpus"] else "no further text"
    epochs = "one epoch" if pretrain["passes"] == 1 else f"{of_kinds(pretrain['passes'])} epochs"
    yield (
        f"Models were pre-trained on {corpus} by masked language modelling with a mask rate of"
        f" {of_kinds(pretrain['mask_rate'])}, each size being a prefix of one shuffle of segments of at most"
        f" {data['segment_words']} words, in sequences of {data['row_length']} tokens, for {epochs}. Optimizer steps"
        f" were of {of_kinds(pretrain['batch_size'])} sequences by AdamW with a peak learning rate of"
        f" {of_kinds(pretrain['learning_rate'])}, weight decay {of_kinds(pretrain['weight_decay'])} and beta2"
        f" {of_kinds(pretrain['adam_beta2'])}, a warm-up of"
        f" {short(pretrain['warmup_tokens'])} tokens and a {pretrain['decay_shape']} decay over the last"
        f" {percent(pretrain['decay_ratio'])} of a run; settings of single models are in their records."
    )
    yield (
        f"Held-out loss is that of masked tokens, {percent(pretrain['held_out_mask_rate'])} of the text for every"
        f" model, {data['held_out_words']:,} words, that were set aside first{held_out(texts)}. Each model was"
        f" fine-tuned on {join_and(recipe['tasks'])} for {of_kinds(finetune['epochs'])} epochs with"
        f" batches of {of_kinds(finetune['batch_size'])} and a peak learning rate of"
        f" {of_kinds(finetune['learning_rate'])}. Seeds of pre-training: {len(seeds['pretrain'])}, of fine-tuning:"
        f" {len(seeds['finetune'])}."
    )
    yield (
        "Laws were fitted to logarithms with the Huber loss (Hoffmann et al. 2022) and back-tested by forecasts of"
        " the larger cells from the smaller ones; intervals include the scatter of seeds, other forms of the law,"
        " and the errors of the back-tests. Models were compared by Welch's t test, all pairs corrected together"
        " (Holm 1979)."
    )


def held_out(texts: pd.DataFrame) -> str:
    """The held-out text in a subordinate clause; empty if it is not known."""
    parts = texts[texts["split"].isin(["train", "held_out", "unused"]) & texts["words"].notna()]
    words = parts.drop_duplicates("split").set_index("split")
    if not {"train", "held_out", "unused"} <= set(words.index):
        return ""
    documents, cut, unused = (
        int(value) for value in (words.at["held_out", "documents"], *words.loc["unused", ["cut_documents", "words"]])
    )
    blocks = f", {cut} of them in part because they are long" if cut else ""
    rest = f"; {unused:,} words, {percent(unused / words['words'].sum())} of the text, are in neither part"
    text = f"{words.at['held_out', 'words']:,.0f} words of {count(documents, 'document')}{blocks}"
    return f" ({text}{rest if unused else ''})"


def of_kinds(value: float | dict[str, float]) -> str:
    """A hyper-parameter in words, which may differ between kinds of models."""
    if isinstance(value, dict):
        return f"{value['from_scratch']:g} (of released checkpoints {value['released']:g})"
    return f"{value:g}"


def provenance(laws: dict) -> str:
    """The provenance of the numbers."""
    environment = laws["environment"]
    packages = [f"{name} {environment[name]}" for name in ("torch", "transformers", "datasets") if name in environment]
    when = laws["started"].replace("T", " ").replace("+00:00", " UTC")
    return (
        f"Laws were fitted {when} on {laws['host']} with Python {environment['python']},"
        f" {', '.join(packages)}. Every result has a record beside it: recipe, digests of code and inputs,"
        " environment, hardware, time and attempts."
    )


if __name__ == "__main__":
    cli.run(main)
