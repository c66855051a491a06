"""Gather the grid's records and scores into tidy tables.

    python scripts/aggregate.py --recipe aggregate.json --results results --work work --runs runs.csv \
        --curves curves.csv --scores scores.csv --summary summary.csv --baselines baselines.csv \
        --attempts attempts.csv --record record.json

runs has a row for each pre-training, curves one for each loss that it logged, scores one for each metric of each
fine-tuning with its standard error over examples, summary the mean over seeds with its 95 % interval, attempts one for
each attempt at a training, also one that failed, with the time that it held its ranks. Every table is also written as
Parquet. Cells of the grid without a result stay in `runs`, with the status missing, and leave no row elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd

from gridlaw import cli, grid, intervals, legacy, record, work
from gridlaw.states import RUNNING
from gridlaw.tables import read_table

CELL = ["model", "size", "size_tokens", "gpus"]
# What the average over tasks is called, in the columns `task` and `metric`.
ALL_TASKS, AVERAGE = "all tasks", "macro_average"
RUN_FACTS = [
    "ranks", "device", "parameters", "parameters_without_embeddings", "size_tokens", "corpus_tokens", "trained_tokens",
    "tokens_here", "steps", "batch_rows", "flops", "flops_without_embeddings", "final_loss", "held_out_loss",
    "held_out_loss_se", "unigram_loss", "trained", "tokens_per_second", "tokens_per_second_low",
    "tokens_per_second_high", "train_seconds", "wall_seconds", "peak_memory_mb", "host", "started",
]  # fmt: skip
# How far a run on several ranks is from the one on a single rank.
RANKS = [
    "held_out_loss_from_one_rank", "final_loss_from_one_rank", "weights_from_one_rank_max",
    "weights_from_one_rank_relative", "weights_identical_to_one_rank",
]  # fmt: skip
# Of a score, beside its cell.
SCORE = [
    "pretrain_seed", "task", "train_set", "train_examples", "finetune_seed", "split", "examples", "metric", "value",
    "item_se", "note", "mark",
]  # fmt: skip
BASELINE = ["split", "examples", "metric", "value", "task"]
ATTEMPT = [
    "step", "model", "size", "gpus", "pretrain_seed", "task", "ranks", "device", "started", "ended", "cause", "seconds",
    "joules", "host",
]  # fmt: skip
CURVE = ["model", "size", "gpus", "pretrain_seed", "trained_tokens", "loss", "phase"]
# What points must have in common to be one curve's.
SCHEDULE = ["schedule", "decay_shape", "decay_ratio", "warmup_tokens", "passes"]
# Share of tokens that are masked, in training and to measure the loss.
MASKS = ["mask_rate", "held_out_mask_rate"]


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of the results")
    parser.add_argument("--work", type=Path, required=True, help="folder of what is not finished")
    for table in ("runs", "curves", "scores", "summary", "baselines", "attempts"):
        parser.add_argument(f"--{table}", type=Path, required=True, help=f"table of {table} to write, CSV")
    parser.add_argument("--record", required=True, help="how they were gathered, JSON to write")
    args = parser.parse_args()
    recipe = args.recipe

    runs = pd.DataFrame(run_rows(recipe, args.results / "pretrain"))
    if not runs["status"].eq("done").any():
        raise cli.Failure(f"{args.results}: nothing is pre-trained yet")
    runs = runs.merge(differences(recipe, args.results / "ranks"), how="left")
    counts = runs.groupby(["model", "size"])["size_tokens"].first()
    scores = score_rows(recipe, args.results / "score", counts)
    averages = macro_averages(scores, recipe["tasks"])
    scores = pd.concat([scores, averages], ignore_index=True)
    keys = [*CELL, "task", "train_set", "train_examples", "split", "metric", "note", "mark"]
    # Seeds of a cell are scored on the same examples: their mean is no surer of these.
    summary = intervals.summarise(scores, keys, "value", averaged=("item_se",))
    tables = {
        "runs": runs,
        "curves": pd.DataFrame(curve_rows(recipe, args.results / "pretrain"), columns=CURVE),
        "scores": scores,
        "summary": within_range(summary),
        "baselines": baselines(recipe["tasks"], args.results / "baseline"),
        "attempts": pd.DataFrame(attempt_rows(recipe, args.results, args.work), columns=ATTEMPT),
    }
    outputs = []
    for name, table in tables.items():
        file = getattr(args, name)
        table.to_csv(file, index=False)
        table.to_parquet(file.with_suffix(".parquet"), index=False)
        outputs += [file, file.with_suffix(".parquet")]
    record.write(args.record, recipe, gathered(recipe, args.results), outputs)


def cells(recipe: dict) -> Iterator[tuple[str, str, int, int]]:
    """Model, size and gpus of each cell, and the gpus value that its scores come from; models in the grid's order."""
    for model in recipe["models"]:
        sizes = recipe["cells"].get(model, {})
        for size in sorted(sizes, key=grid.size_order):
            for gpus in sorted(sizes[size], key=int):
                yield model, size, int(gpus), sizes[size][gpus]


def gathered(recipe: dict, results: Path) -> list[Path]:
    """The files that the tables come from, those that are there; scores stand for the fine-tunings behind them."""
    trained = [Path(model, size, str(gpus)) for model, size, gpus, _ in cells(recipe)]
    scored = {Path(model, size, str(gpus)) for model, size, _, gpus in cells(recipe)}
    files = [results / "pretrain" / cell / str(seed) / "record.json" for cell in trained for seed in recipe["seeds"]]
    files += [results / "ranks" / model / size / "ranks.csv" for model, size in recipe["compared"]]
    files += [results / "score" / cell / file for cell in sorted(scored) for file in ("scores.csv", "record.json")]
    files += [results / "baseline" / task / "scores.csv" for task in recipe["tasks"]]
    return [file for file in files if file.is_file()]


def within_range(summary: pd.DataFrame) -> pd.DataFrame:
    """A summary whose intervals end where the metric does: correlations at -1 and 1, all others at 0 and 1."""
    signed = summary["metric"].isin(["matthews_correlation", "pearson", "spearman"]) | summary["task"].eq(ALL_TASKS)
    lowest = signed.map({True: -1.0, False: 0.0})
    return summary.assign(low=summary["low"].clip(lower=lowest), high=summary["high"].clip(upper=1.0))


def run_rows(recipe: dict, folder: Path) -> list[dict]:
    """A row for each pre-training of the grid, from its record."""
    rows = []
    for model, size, gpus, _ in cells(recipe):
        for seed in recipe["seeds"]:
            row = {
                "model": model,
                "size": size,
                "size_tokens": None,
                "gpus": gpus,
                "pretrain_seed": seed,
                "status": "missing",
            }
            file = folder / model / size / str(gpus) / str(seed) / "record.json"
            if file.is_file():
                facts = legacy.training(record.read_json(file))
                row["status"] = "done"
                row["tokenizer"] = recipe["tokenizers"][model]
                row |= {name: facts["recipe"].get(name) for name in [*SCHEDULE, *MASKS]}
                row |= {name: facts.get(name) for name in RUN_FACTS}
                # With start-up and evaluation, of the attempt that finished.
                row["tokens_per_second_overall"] = facts["tokens_here"] / facts["wall_seconds"]
                row["joules"] = facts["energy"]["joules"]
                row["attempts"] = len(facts["attempts"])
                row["mark"] = "; ".join(record.marks(facts))
            rows.append(row)
    return rows


def curve_rows(recipe: dict, folder: Path) -> Iterator[tuple]:
    """A row for each loss that a pre-training logged, at the middle of the updates that it is the mean of."""
    for model, size, gpus, _ in cells(recipe):
        for seed in recipe["seeds"]:
            facts = legacy.training(record.found(folder / model / size / str(gpus) / str(seed) / "record.json") or {})
            # Nothing is trained at size 0; nor was this kept by a result that a person has accepted since.
            logged = facts.get("curve", {"step": [], "loss": []})
            before = 0
            for step, loss in zip(logged["step"], logged["loss"], strict=True):
                tokens = (before + step) / 2 / facts["steps"] * facts["trained_tokens"]
                yield model, size, gpus, seed, tokens, loss, phase(facts, before, step)
                before = step


def phase(facts: dict, before: int, step: int) -> str:
    """What the rate did between two updates: part of a warm-up, constant throughout, or part of a decay."""
    if before < facts["warmup_steps"]:
        return "warmup"
    return "constant" if step <= facts["decay_from"] else "decay"


def differences(recipe: dict, folder: Path) -> pd.DataFrame:
    """A row for each run on several ranks that there is one on a single rank for."""
    files = {(model, size): folder / model / size / "ranks.csv" for model, size in recipe["compared"]}
    tables = [
        read_table(file).assign(model=model, size=size) for (model, size), file in files.items() if file.is_file()
    ]
    columns = ["model", "size", "gpus", "pretrain_seed", *RANKS]
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


def score_rows(recipe: dict, folder: Path, counts: pd.Series) -> pd.DataFrame:
    """Scores of the grid's cells, each from the gpus value that was fine-tuned for it.

    A note says if that is another, a mark whether a person has accepted or adopted them.

    Args:
        counts: tokens of each size, by model and size.
    """
    tables = []
    for model, size, gpus, scored_at in cells(recipe):
        file = folder / model / size / str(scored_at) / "scores.csv"
        if not file.is_file():
            continue
        cell = {"model": model, "size": size, "size_tokens": counts[model, size], "gpus": gpus}
        note = "" if gpus == scored_at else f"fine-tuned at gpus {scored_at}"
        mark = "; ".join(record.marks(record.read_json(file.with_name("record.json"))))
        table = read_table(file).assign(note=note, mark=mark)
        for position, (name, value) in enumerate(cell.items()):
            table.insert(position, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*CELL, *SCORE])


def macro_averages(scores: pd.DataFrame, tasks: dict) -> pd.DataFrame:
    """The average over tasks, as GLUE takes it (Wang et al. 2019, section 3): of each task's metrics and splits,
    then of tasks.

    It is there for each seed and training set that every task has; where WNLI counts, also without it.
    """
    counted = [task for task, entry in tasks.items() if entry["glue"]]
    families = {AVERAGE: counted}
    if "wnli" in counted and len(counted) > 1:
        families[f"{AVERAGE}_without_wnli"] = [task for task in counted if task != "wnli"]
    keys = [*CELL, "pretrain_seed", "train_set", "finetune_seed", "note", "mark"]
    by_task = scores.groupby([*keys, "task"], sort=False)["value"].mean().unstack("task")
    averages = []
    for metric, names in families.items():
        values = by_task.reindex(columns=names).mean(axis=1, skipna=False).dropna().rename("value").reset_index()
        averages.append(values.assign(task=ALL_TASKS, split="validation", metric=metric))
    return pd.concat(averages)


def baselines(tasks: dict, folder: Path) -> pd.DataFrame:
    """The majority class's scores of all tasks."""
    files = {task: folder / task / "scores.csv" for task in tasks}
    tables = [read_table(file).assign(task=task) for task, file in files.items() if file.is_file()]
    return pd.concat(tables) if tables else pd.DataFrame(columns=BASELINE)


def attempt_rows(recipe: dict, results: Path, unfinished: Path) -> Iterator[dict]:
    """A row for each attempt at a training, from the records of those that are done and the work folders of others."""
    for model, size, gpus, scored_at in cells(recipe):
        for seed in recipe["seeds"]:
            run = Path(model, size, str(gpus), str(seed))
            of = {"model": model, "size": size, "gpus": gpus, "pretrain_seed": seed}
            steps = [("trunk", run, {}), ("pretrain", run, {})]
            if gpus == scored_at:
                steps += [("finetune", run / task, {"task": task}) for task in recipe["tasks"]]
            for step, place, more in steps:
                made = record.found(results / step / place / "record.json")
                # Without text there is nothing to share.
                ranks = 1 if step == "finetune" or size == "0" else gpus
                about = {"step": step, **of, **more, "ranks": ranks}
                if made:
                    *failed, last = made["attempts"]
                    yield from (about | attempt | {"seconds": seconds(attempt)} for attempt in failed)
                    # Energy is that of the last attempt, start-up included.
                    measured = {"seconds": made["wall_seconds"], "joules": made["energy"]["joules"]}
                    yield about | last | measured | {"device": made["device"]}
                begun = work.begun(unfinished / step / place)
                if begun and work.is_held(unfinished / step / place):
                    begun[-1]["cause"] = RUNNING
                yield from (about | attempt | {"seconds": seconds(attempt)} for attempt in begun)


def seconds(attempt: dict) -> float | None:
    """How long an attempt took; None for one that was killed and could not say when."""
    if attempt["ended"] is None:
        return None
    began, ended = (datetime.fromisoformat(attempt[name]) for name in ("started", "ended"))
    return (ended - began).total_seconds()


if __name__ == "__main__":
    cli.run(main)
