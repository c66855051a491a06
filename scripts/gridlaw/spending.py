"""What the trainings of a grid have taken, beside what they were predicted to take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd

from gridlaw.states import RUNNING
from gridlaw.words import amount, duration, interval, join_and, rank_time

# What an attempt's record says of one that came to its end; any other cause is a failure or an interruption.
FINISHED = "finished"
STEPS = {"trunk": "trunks", "pretrain": "pre-training", "finetune": "fine-tuning"}
TRAINING = ["step", "model", "size", "gpus", "pretrain_seed", "task"]


class Spending:
    """What the attempts at trainings took.

    Args:
        attempts: the table of attempts.
        prices: `price_per_gpu_hour`, `price_per_kwh` and `watts_per_gpu`, 0 where not known, and `currency`.
    """

    def __init__(self, attempts: pd.DataFrame, prices: dict):
        rank_seconds = attempts["seconds"] * attempts["ranks"]
        # What no counter measured is estimated if the configuration says what a rank draws.
        watts = prices["watts_per_gpu"]
        joules = attempts["joules"].astype(float).fillna(rank_seconds * watts if watts else None)
        self._attempts = attempts.assign(
            rank_hours=rank_seconds / 3600,
            kwh=joules / 3.6e6,
            failed=~attempts["cause"].isin([FINISHED, RUNNING]),
        )
        self._prices = prices

    def words(self) -> Iterator[str]:
        """The whole of it, in sentences."""
        tried = self._attempts
        parts = {STEPS[step]: own["rank_hours"].sum() for step, own in tried.groupby("step", sort=False)}
        shares = [f"{rank_time(hours)} of {name}" for name, hours in parts.items()]
        yield (
            f"Trainings took {rank_time(tried['rank_hours'].sum())}: {join_and(shares)}." if shares else "None trained."
        )
        kwh, money = tried["kwh"].sum(), self._money(tried)
        if kwh:
            known = "" if tried["kwh"].notna().all() else ", as far as it was measured"
            yield f"They used {f'{amount(kwh)} kWh' if kwh >= 0.1 else f'{amount(1000 * kwh)} Wh'}{known}."
        if money:
            yield f"At the prices of the configuration that is {amount(money)} {self._prices['currency']}."
        failed = tried[tried["failed"]]
        if len(failed):
            untold = failed["seconds"].isna().sum()
            took = f", which held ranks for {rank_time(failed['rank_hours'].sum())}" if untold < len(failed) else ""
            more = f"; how long {untold} of them took is not known, they were killed" if untold else ""
            yield f"Attempts that did not come to their end: {len(failed)}{took}{more}."

    def table(self) -> pd.DataFrame:
        """A row for each kind of training."""
        unit, factor = ("rank-hours", 1) if self._attempts["rank_hours"].sum() >= 1 else ("rank-minutes", 60)
        rows = []
        for step, own in self._attempts.groupby("step", sort=False):
            row = {
                "what": STEPS[step],
                "trainings": len(own[TRAINING].drop_duplicates()),
                "attempts": len(own),
                "not finished": int(own["failed"].sum()),
                unit: own["rank_hours"].sum() * factor,
                f"{unit} not finished": own.loc[own["failed"], "rank_hours"].sum() * factor,
                "kWh": own["kwh"].sum(min_count=1),
                self._prices["currency"]: self._money(own) or None,
            }
            rows.append(row)
        return pd.DataFrame(rows).dropna(axis=1, how="all")

    def compared(self, predictions: list[dict]) -> pd.DataFrame:
        """A row for each run of the workflow that trained something: what it was to take, and what it took."""
        started = pd.to_datetime(self._attempts["started"])
        begun = [datetime.fromisoformat(one["begun"]) for one in predictions]
        # Until the next run began.
        ends = [*begun, None][1:]
        rows = []
        for one, first, after in zip(predictions, begun, ends, strict=True):
            own = self._attempts[(started >= first) & (started < after if after else True)]
            if own.empty:
                continue
            ended = pd.to_datetime(own["ended"]).max()
            rows.append(
                {
                    "run of": one["begun"].replace("T", " ").removesuffix("+00:00"),
                    "predicted by": f"{one['measured']} trainings" if one["measured"] else "a rough guess",
                    "trainings planned": one["trainings"],
                    "finished": own["cause"].eq(FINISHED).sum(),
                    "compute predicted": interval(*(rank_time(part / 3600) for part in one["rank_seconds"])),
                    "compute taken": rank_time(own["rank_hours"].sum()),
                    "time predicted": interval(*map(duration, one["seconds"])),
                    "time taken": "" if pd.isna(ended) else duration((ended - first).total_seconds()),
                }
            )
        return pd.DataFrame(rows)

    def _money(self, attempts: pd.DataFrame) -> float:
        per_hour, per_kwh = self._prices["price_per_gpu_hour"], self._prices["price_per_kwh"]
        return float(attempts["rank_hours"].sum() * per_hour + attempts["kwh"].sum() * per_kwh)


def predictions(file: Path | None) -> list[dict]:
    """What runs of the workflow were predicted to take, in their order; none where nobody has kept it."""
    try:
        lines = file.read_text().splitlines() if file else []
    except OSError:
        return []
    return [json.loads(line) for line in lines]
