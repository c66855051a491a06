"""Gather the grid's records and scores into tidy tables.

    python scripts/aggregate.py --recipe aggregate.json --results results --work work --runs runs.csv \
        --curves curves.csv --scores scores.csv --summary summary.csv --baselines baselines.csv \
        --attempts attempts.csv --texts texts.csv --segments segments.json --packs pack.json ... --record record.json

Rows are: in runs the pre-trainings; in curves their logged losses; in scores each metric of each fine-tuning, with its
standard error over examples; in summary the means over seeds with 95 % intervals; in baselines the scores of the
majority class; in attempts all attempts at trainings, failed ones included, with the time that they held their ranks;
in texts the parts of the corpus and of the tasks that models read, with what they do not see of them.
Every table is also written as Parquet. Cells without a result are in runs, with the status missing, and in no other
table.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd

from gridlaw import cli, io, legacy
from gridlaw.config import grid
from gridlaw.stats import intervals
from gridlaw.tables import read_table
from gridlaw.words import caveat
from gridlaw.workflow import program, record, work_folder
from gridlaw.workflow.states import RUNNING

CELL = ["model", "size", "size_tokens", "gpus"]
RUN = ["model", "size", "gpus", "pretrain_seed"]
# Names of the average over tasks in the columns `task` and `metric`.
ALL_TASKS, AVERAGE = "all tasks", "macro_average"
RUN_FACTS = [
    "ranks", "device", "parameters", "parameters_without_embeddings", "size_tokens", "corpus_tokens", "trained_tokens",
    "tokens_here", "steps", "batch_rows", "flops", "flops_without_embeddings", "final_loss", "held_out_loss",
    "held_out_loss_se", "unigram_loss", "trained", "diverged", "tokens_per_second", "tokens_per_second_low",
    "tokens_per_second_high", "train_seconds", "wall_seconds", "peak_memory_mb", "host", "started",
]  # fmt: skip
# Differences between a run on several ranks and the run on one rank.
RANKS = [
    "held_out_loss_from_one_rank", "final_loss_from_one_rank", "weights_from_one_rank_max",
    "weights_from_one_rank_relative", "weights_identical_to_one_rank",
]  # fmt: skip
# Columns of a score, beside those of its cell.
SCORE = [
    "pretrain_seed", "task", "train_set", "train_examples", "finetune_seed", "split", "examples", "metric", "positive",
    "value", "item_se", "trained", "diverged", "note", "mark",
]  # fmt: skip
BASELINE = ["split", "examples", "metric", "positive", "value", "task"]
ATTEMPT = [
    "step", "model", "size", "gpus", "pretrain_seed", "task", "ranks", "device", "started", "ended", "cause", "seconds",
    "joules", "host",
]  # fmt: skip
TEXT = [
    "model", "tokenizer", "text", "split", "documents", "cut_documents", "words", "examples", "unknown_tokens",
    "unknown_characters", "truncated",
]  # fmt: skip
# Whole numbers, of which some rows have none.
COUNTS = dict.fromkeys(["documents", "cut_documents", "words", "examples"], "Int64")
CURVE = ["model", "size", "gpus", "pretrain_seed", "trained_tokens", "loss", "phase"]
# Columns that the points of one curve share.
SCHEDULE = ["schedule", "decay_shape", "decay_ratio", "warmup_tokens", "passes"]
# Share of tokens that are masked, in training and in the held-out loss.
MASKS = ["mask_rate", "held_out_mask_rate"]


def main() -> None:
    args = program.parse("aggregate", __doc__)
    recipe = args.recipe

    runs = pd.DataFrame(run_rows(recipe, args.results / "pretrain"))
    if not runs["status"].eq("done").any():
        raise cli.Failure(f"{args.results}: nothing is pre-trained yet")
    runs = runs.merge(differences(recipe, args.results / "ranks"), how="left")
    counts = runs.groupby(["model", "size"])["size_tokens"].first()
    diverged = defaultdict(list)
    for *cell, seed in runs.loc[runs["diverged"].eq(True), RUN].itertuples(index=False):
        diverged[tuple(cell)].append(seed)
    scores = score_rows(recipe, args.results / "score", counts, diverged)
    averages = macro_averages(scores, recipe["tasks"])
    scores = pd.concat([scores, averages], ignore_index=True)
    keys = [*CELL, "task", "train_set", "train_examples", "split", "metric", "positive", "note", "mark"]
    summary = summarised(scores, keys)
    tables = {
        "runs": runs,
        "curves": pd.DataFrame(curve_rows(recipe, args.results / "pretrain"), columns=CURVE),
        "scores": scores,
        "summary": within_range(summary, recipe["lowest"]),
        "baselines": baselines(recipe["tasks"], args.results / "baseline"),
        "attempts": pd.DataFrame(attempt_rows(recipe, args.results, args.work), columns=ATTEMPT),
        "texts": pd.DataFrame(text_rows(recipe, args.segments, args.packs, args.results), columns=TEXT).astype(COUNTS),
    }
    for name, table in tables.items():
        file = Path(getattr(args, name))
        table.to_csv(file, index=False)
        table.to_parquet(file.with_suffix(".parquet"), index=False)
    record.write(args, inputs=[*gathered(recipe, args.results), *args.inputs])


def cells(recipe: dict) -> Iterator[tuple[str, str, int, int]]:
    """Model, size and gpus of each cell, and the gpus value of its scores; models in the grid's order."""
    for model in recipe["models"]:
        sizes = recipe["cells"].get(model, {})
        for size in sorted(sizes, key=grid.size_order):
            for gpus in sorted(sizes[size], key=int):
                yield model, size, int(gpus), sizes[size][gpus]


def gathered(recipe: dict, results: Path) -> list[Path]:
    """The existing files that the tables are made from; scores stand for their fine-tunings."""
    trained = [Path(model, size, str(gpus)) for model, size, gpus, _ in cells(recipe)]
    scored = {Path(model, size, str(gpus)) for model, size, _, gpus in cells(recipe)}
    files = [results / "pretrain" / cell / str(seed) / "record.json" for cell in trained for seed in recipe["seeds"]]
    files += [results / "ranks" / model / size / "ranks.csv" for model, size in recipe["compared"]]
    files += [results / "score" / cell / file for cell in sorted(scored) for file in ("scores.csv", "record.json")]
    files += [results / "baseline" / task / "scores.csv" for task in recipe["tasks"]]
    return [file for file in files if file.is_file()]


def within_range(summary: pd.DataFrame, lowest_values: dict[str, float]) -> pd.DataFrame:
    """Clip intervals to the range of the metric; the average over tasks may be as low as a correlation.

    Args:
        lowest_values: by metric; 0 for others.
    """
    lowest = summary["metric"].map(lowest_values).fillna(0.0).mask(summary["task"].eq(ALL_TASKS), -1.0)
    return summary.assign(low=summary["low"].clip(lower=lowest), high=summary["high"].clip(upper=1.0))


def summarised(scores: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means over the runs that have a score, with the numbers of diverged and untrained runs, and these in words."""
    # Seeds of a cell are scored on the same examples, so their mean has the error over examples of each.
    summary = intervals.summarise(
        scores.assign(untrained=scores["trained"].eq(False) & ~scores["diverged"]),
        keys,
        "value",
        averaged=("item_se",),
        counted=("diverged", "untrained"),
    )
    words = [caveat(row.diverged, row.untrained, int(row.n) + row.diverged) for row in summary.itertuples()]
    return summary.assign(caveat=words)


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
                facts = legacy.training(io.read_json(file))
                row["status"] = "done"
                row["tokenizer"] = recipe["tokenizers"][model]
                row |= {name: facts["recipe"].get(name) for name in [*SCHEDULE, *MASKS]}
                row |= {name: facts.get(name) for name in RUN_FACTS} | {"diverged": has_diverged(facts)}
                if row["diverged"]:
                    row |= dict.fromkeys(("final_loss", "held_out_loss", "held_out_loss_se"))
                # Start-up and evaluation of the last attempt included.
                row["tokens_per_second_overall"] = facts["tokens_here"] / facts["wall_seconds"]
                row["joules"] = facts["energy"]["joules"]
                row["attempts"] = len(facts["attempts"])
                row["mark"] = "; ".join(record.marks(facts))
            rows.append(row)
    return rows


def has_diverged(facts: dict) -> bool:
    """True if a loss of a pre-training is not a finite number; records have null for it, early ones NaN."""
    losses = [facts["held_out_loss"]] if "held_out_loss" in facts else []
    losses += facts.get("curve", {"loss": []})["loss"]
    # Null if the finishing attempt had nothing left to train, and so no loss to log.
    losses += [facts["final_loss"]] if facts.get("final_loss") is not None else []
    return not all(map(is_finite, losses))


def is_finite(loss: float | None) -> bool:
    """True for a loss that is a finite number."""
    return loss is not None and math.isfinite(loss)


def curve_rows(recipe: dict, folder: Path) -> Iterator[tuple]:
    """A row for each logged loss, at the middle of the optimizer steps that it averages."""
    for model, size, gpus, _ in cells(recipe):
        for seed in recipe["seeds"]:
            facts = legacy.training(io.find_json(folder / model / size / str(gpus) / str(seed) / "record.json") or {})
            # There is no curve at size 0, nor in accepted results of early releases.
            logged = facts.get("curve", {"step": [], "loss": []})
            previous = 0
            for step, loss in zip(logged["step"], logged["loss"], strict=True):
                tokens = (previous + step) / 2 / facts["steps"] * facts["trained_tokens"]
                finite = loss if is_finite(loss) else None
                yield model, size, gpus, seed, tokens, finite, phase(facts, previous, step)
                previous = step


def phase(facts: dict, previous: int, step: int) -> str:
    """The phase of the learning rate between two optimizer steps: warmup, constant or decay."""
    if previous < facts["warmup_steps"]:
        return "warmup"
    return "constant" if step <= facts["decay_from"] else "decay"


def differences(recipe: dict, folder: Path) -> pd.DataFrame:
    """A row for each run on several ranks that has a counterpart on one rank."""
    files = {(model, size): folder / model / size / "ranks.csv" for model, size in recipe["compared"]}
    tables = [
        read_table(file).assign(model=model, size=size) for (model, size), file in files.items() if file.is_file()
    ]
    columns = ["model", "size", "gpus", "pretrain_seed", *RANKS]
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


def score_rows(recipe: dict, folder: Path, counts: pd.Series, diverged: dict[tuple, list[int]]) -> pd.DataFrame:
    """Scores of the grid's cells, each from the gpus value that was fine-tuned for it.

    The column `note` names that gpus value if it differs; `mark` is set if a user accepted or adopted the scores. A
    fine-tuning of a model that diverged has diverged, too, and has no score.

    Args:
        counts: tokens of each size, by model and size.
        diverged: seeds of the pre-trainings that diverged, by model, size and gpus.
    """
    tables = []
    for model, size, gpus, scored_at in cells(recipe):
        file = folder / model / size / str(scored_at) / "scores.csv"
        if not file.is_file():
            continue
        cell = {"model": model, "size": size, "size_tokens": counts[model, size], "gpus": gpus}
        note = "" if gpus == scored_at else f"fine-tuned at gpus {scored_at}"
        mark = "; ".join(record.marks(io.read_json(file.with_name("record.json"))))
        table = read_table(file).assign(note=note, mark=mark)
        failed = [seed in diverged[model, size, scored_at] for seed in table["pretrain_seed"]]
        table["diverged"] |= pd.Series(failed, table.index)
        table.loc[table["diverged"], ["value", "item_se"]] = math.nan
        for position, (name, value) in enumerate(cell.items()):
            table.insert(position, name, value)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*CELL, *SCORE])


def macro_averages(scores: pd.DataFrame, tasks: dict) -> pd.DataFrame:
    """The average over tasks as in GLUE (Wang et al. 2019, section 3): first over a task's metrics and splits, then
    over tasks.

    It exists for seeds and training sets that every task has; with WNLI there is also an average without it.
    """
    glue = [task for task, entry in tasks.items() if entry["glue"]]
    families = {AVERAGE: glue}
    if "wnli" in glue and len(glue) > 1:
        families[f"{AVERAGE}_without_wnli"] = [task for task in glue if task != "wnli"]
    keys = [*CELL, "pretrain_seed", "train_set", "finetune_seed", "note", "mark"]
    by_task = (
        scores.assign(untrained=scores["trained"].eq(False))
        .groupby([*keys, "task"], sort=False)
        .agg(value=("value", "mean"), diverged=("diverged", "any"), untrained=("untrained", "any"))
    )
    averages = []
    for metric, names in families.items():
        runs = by_task[by_task.index.isin(names, level="task")].groupby(keys, sort=False)
        runs = runs.agg(
            tasks=("value", "size"),
            value=("value", lambda values: values.mean(skipna=False)),
            diverged=("diverged", "any"),
            untrained=("untrained", "any"),
        )
        complete = runs[runs["tasks"] == len(names)].reset_index()
        facts = {"task": ALL_TASKS, "split": "validation", "metric": metric, "trained": ~complete["untrained"]}
        averages.append(complete.drop(columns=["tasks", "untrained"]).assign(**facts))
    return pd.concat(averages)


def baselines(tasks: dict, folder: Path) -> pd.DataFrame:
    """The majority class's scores of all tasks."""
    files = {task: folder / task / "scores.csv" for task in tasks}
    tables = [read_table(file).assign(task=task) for task, file in files.items() if file.is_file()]
    return pd.concat(tables) if tables else pd.DataFrame(columns=BASELINE)


def attempt_rows(recipe: dict, results: Path, unfinished: Path) -> Iterator[dict]:
    """A row for each attempt at a training, from the records of finished trainings and the work folders of others."""
    for model, size, gpus, scored_at in cells(recipe):
        for seed in recipe["seeds"]:
            run = Path(model, size, str(gpus), str(seed))
            cell = {"model": model, "size": size, "gpus": gpus, "pretrain_seed": seed}
            steps = [("trunk", run, {}), ("pretrain", run, {})]
            if gpus == scored_at:
                steps += [("finetune", run / task, {"task": task}) for task in recipe["tasks"]]
            for step, place, task in steps:
                facts = io.find_json(results / step / place / "record.json")
                # Size 0 is not trained, so its ranks would have nothing to share.
                ranks = gpus if step != "finetune" and grid.is_trained(size) else 1
                training = {"step": step, **cell, **task, "ranks": ranks}
                if facts:
                    *failed, last = facts["attempts"]
                    yield from (training | attempt | {"seconds": seconds(attempt)} for attempt in failed)
                    # Energy is that of the last attempt, start-up included.
                    measured = {"seconds": facts["wall_seconds"], "joules": facts["energy"]["joules"]}
                    yield training | last | measured | {"device": facts["device"]}
                begun = work_folder.read_attempts(unfinished / step / place)
                if begun and work_folder.is_held(unfinished / step / place):
                    begun[-1]["cause"] = RUNNING
                yield from (training | attempt | {"seconds": seconds(attempt)} for attempt in begun)


def text_rows(recipe: dict, segments: str | None, packs: list[str], results: Path) -> Iterator[dict]:
    """A row for each model and each part of the corpus, or split of a task, that it reads.

    Args:
        segments: manifest of the segments; None for a grid without a corpus.
        packs: manifests of the packed corpus.
        results: folder of the results.
    """
    counts = io.read_json(segments) if segments else {}
    by_tokenizer = {Path(file).parent.name: Path(file) for file in packs}
    for model, tokenizer in recipe["tokenizers"].items():
        reader = {"model": model, "tokenizer": tokenizer}
        if tokenizer in by_tokenizer:
            pack = io.read_json(by_tokenizer[tokenizer])
            corpus = reader | {"text": by_tokenizer[tokenizer].parent.parent.name}
            for split in ("train", "held_out"):
                yield corpus | {"split": split, **unseen(pack.get(split, {})), **counts.get(split, {})}
            unused = {"words": counts.get("unused_words"), "cut_documents": counts.get("cut_documents")}
            yield corpus | {"split": "unused", **unused}
        for task in recipe["tasks"]:
            # All fine-tunings of a model read the same examples.
            runs = [cell[1:3] for cell in cells(recipe) if cell[0] == model and cell[2] == cell[3]]
            places = (Path(size, str(gpus), str(seed), task) for size, gpus in runs for seed in recipe["seeds"])
            manifests = (io.find_json(results / "finetune" / model / place / "manifest.json") for place in places)
            texts = next((manifest["texts"] for manifest in manifests if manifest and "texts" in manifest), {})
            for split, text in texts.items():
                yield reader | {"text": task, "split": split, **text, **unseen(text)}


def unseen(text: dict) -> dict:
    """The unknown shares of a text as columns; earlier releases did not count them."""
    return {f"unknown_{unit}": share for unit, share in text.get("unknown", {}).items()}


def seconds(attempt: dict) -> float | None:
    """The duration of an attempt; None for a killed one, whose end is unknown."""
    if attempt["ended"] is None:
        return None
    start, end = (datetime.fromisoformat(attempt[name]) for name in ("started", "ended"))
    return (end - start).total_seconds()


if __name__ == "__main__":
    cli.run(main)
