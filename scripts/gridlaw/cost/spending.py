"""Time, energy and money that the trainings of a grid took, compared with predictions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd

from gridlaw.words import amount, count, duration, interval, join_and, rank_time
from gridlaw.workflow.states import RUNNING

# The cause of an attempt that finished; any other is a failure or an interruption.
FINISHED = "finished"
STEPS = {"trunk": "trunks", "pretrain": "pre-training", "finetune": "fine-tuning"}
TRAINING = ["step", "model", "size", "gpus", "pretrain_seed", "task"]


class Spending:
    """Costs of attempts at trainings.

    Args:
        attempts: the table of attempts.
        prices: `price_per_gpu_hour`, `price_per_kwh` and `watts_per_gpu`, 0 if unknown, and `currency`.
    """

    def __init__(self, attempts: pd.DataFrame, prices: dict):
        rank_seconds = attempts["seconds"] * attempts["ranks"]
        # Energy that was not measured is estimated, if the configuration gives the power of a rank.
        watts = prices["watts_per_gpu"]
        joules = attempts["joules"].astype(float).fillna(rank_seconds * watts if watts else None)
        self._attempts = attempts.assign(
            rank_hours=rank_seconds / 3600,
            kwh=joules / 3.6e6,
            failed=~attempts["cause"].isin([FINISHED, RUNNING]),
        )
        self._prices = prices

    def words(self) -> Iterator[str]:
        """All costs, in sentences."""
        attempts = self._attempts
        parts = {STEPS[step]: group["rank_hours"].sum() for step, group in attempts.groupby("step", sort=False)}
        shares = [f"{rank_time(hours)} of {name}" for name, hours in parts.items()]
        total = rank_time(attempts["rank_hours"].sum())
        yield f"Trainings took {total}: {join_and(shares)}." if shares else "None trained."
        kwh, money = attempts["kwh"].sum(), self._money(attempts)
        if kwh:
            known = "" if attempts["kwh"].notna().all() else ", as far as measured"
            yield f"They used {f'{amount(kwh)} kWh' if kwh >= 0.1 else f'{amount(1000 * kwh)} Wh'}{known}."
        if money:
            yield f"At the prices of the configuration that is {amount(money)} {self._prices['currency']}."
        failed = attempts[attempts["failed"]]
        if len(failed):
            unknown = failed["seconds"].isna().sum()
            took = f", which held ranks for {rank_time(failed['rank_hours'].sum())}" if unknown < len(failed) else ""
            more = f"; the time of {count(unknown, 'killed attempt')} is unknown" if unknown else ""
            yield f"Attempts that did not finish: {len(failed)}{took}{more}."

    def table(self) -> pd.DataFrame:
        """A table with a row for each kind of training."""
        unit, factor = ("rank-hours", 1) if self._attempts["rank_hours"].sum() >= 1 else ("rank-minutes", 60)
        rows = []
        for step, group in self._attempts.groupby("step", sort=False):
            row = {
                "what": STEPS[step],
                "trainings": len(group[TRAINING].drop_duplicates()),
                "attempts": len(group),
                "not finished": int(group["failed"].sum()),
                unit: group["rank_hours"].sum() * factor,
                f"{unit} not finished": group.loc[group["failed"], "rank_hours"].sum() * factor,
                "kWh": group["kwh"].sum(min_count=1),
                self._prices["currency"]: self._money(group) or None,
            }
            rows.append(row)
        return pd.DataFrame(rows).dropna(axis=1, how="all")

    def comparison(self, predictions: list[dict]) -> pd.DataFrame:
        """A table of predicted and actual costs, a row for each run of the workflow that trained something."""
        starts = pd.to_datetime(self._attempts["started"])
        begins = [datetime.fromisoformat(prediction["begun"]) for prediction in predictions]
        # An attempt belongs to the last run that began before it.
        ends = [*begins, None][1:]
        rows = []
        for prediction, begin, end in zip(predictions, begins, ends, strict=True):
            group = self._attempts[(starts >= begin) & (starts < end if end else True)]
            if group.empty:
                continue
            end_time = pd.to_datetime(group["ended"]).max()
            rows.append(
                {
                    "run of": prediction["begun"].replace("T", " ").removesuffix("+00:00"),
                    "predicted by": f"{prediction['measured'] or 'no'} finished trainings",
                    "trainings planned": prediction["trainings"],
                    "finished": group["cause"].eq(FINISHED).sum(),
                    "compute predicted": interval(*(rank_time(part / 3600) for part in prediction["rank_seconds"])),
                    "compute taken": rank_time(group["rank_hours"].sum()),
                    "time predicted": interval(*map(duration, prediction["seconds"])),
                    "time taken": "" if pd.isna(end_time) else duration((end_time - begin).total_seconds()),
                }
            )
        return pd.DataFrame(rows)

    def _money(self, attempts: pd.DataFrame) -> float:
        per_hour, per_kwh = self._prices["price_per_gpu_hour"], self._prices["price_per_kwh"]
        return float(attempts["rank_hours"].sum() * per_hour + attempts["kwh"].sum() * per_kwh)


def predictions(file: str | None) -> list[dict]:
    """Predictions of the workflow's runs, in their order; none if the file is missing."""
    try:
        lines = Path(file).read_text().splitlines() if file else []
    except OSError:
        return []
    return [json.loads(line) for line in lines]
