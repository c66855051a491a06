"""Throughput by ranks, and the equivalence of results across ranks.

Amdahl's law, X(p) = X(1) / (s + (1 - s) / p), has one parameter, the serial share s (Amdahl 1967); the universal
scalability law X(p) = lambda p / (1 + sigma (p - 1) + kappa p (p - 1)) also has a peak (Gunther 2007).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import least_squares

from gridlaw.arrays import Array
from gridlaw.laws.judging import LAW, REFUSED
from gridlaw.words import join_and, percent

# Distinct numbers of ranks that each law needs.
AMDAHL, USL = 3, 5
# Largest extrapolation factor in ranks.
REACH = 2


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """Speed-up and efficiency of each number of ranks over the smallest, from medians over runs: a row each.

    Args:
        runs: of one model at one size.
    """
    rates = runs.dropna(subset=["tokens_per_second"]).groupby("ranks")["tokens_per_second"].median()
    least = rates.index.min()
    speedup = rates / rates.iloc[:1].sum()
    return pd.DataFrame(
        {"ranks": rates.index, "tokens_per_second": rates.to_numpy(), "speedup": speedup.to_numpy(),
         "efficiency": (speedup * least / rates.index).to_numpy()}
    )  # fmt: skip


def fit(ranks: Array, rate: Array) -> dict[str, float]:
    """Fit Amdahl's law, or with enough numbers of ranks the universal scalability law; gives its parameters."""
    law = usl if len(ranks) >= USL else amdahl
    names = ("rate", "sigma", "kappa") if law is usl else ("rate", "serial")
    start = [rate[0] / ranks[0], 0.05, 0.001][: len(names)]
    high = [np.inf, 1.0, 1.0][: len(names)]
    result = least_squares(
        lambda p: np.log(law(ranks, *p) / rate), start, bounds=([1e-12, 0, 0][: len(names)], high), x_scale=start
    )
    return dict(zip(names, map(float, result.x), strict=True))


def amdahl(ranks: Array, rate: float, serial: float) -> Array:
    """Throughput by Amdahl's law."""
    return rate / (serial + (1 - serial) / ranks)


def usl(ranks: Array, rate: float, sigma: float, kappa: float) -> Array:
    """Throughput by the universal scalability law."""
    return rate * ranks / (1 + sigma * (ranks - 1) + kappa * ranks * (ranks - 1))


def judge(name: str, runs: pd.DataFrame) -> dict:
    """The law of one model's throughput at one size, for a JSON file."""
    measured = table(runs)
    efficiency = [f"{percent(row.efficiency)} on {row.ranks} ranks" for row in measured.iloc[1:].itertuples()]
    measured_words = f"Efficiency: {join_and(efficiency)}. " if efficiency else ""
    facts = {"name": f"{name}: throughput by ranks", "measured": measured.to_dict("records")}
    if len(measured) < AMDAHL:
        counts = f"{AMDAHL} numbers of ranks, and throughput was measured on {len(measured) or 'none'}"
        why = f"{measured_words}No law of speed-up: it takes {counts}."
        return facts | {"state": REFUSED, "verdict": why}
    parameters = fit(measured["ranks"].to_numpy(float), measured["tokens_per_second"].to_numpy(float))
    most = int(measured["ranks"].max())
    if "kappa" in parameters:
        form = "X(p) = rate p / (1 + sigma (p - 1) + kappa p (p - 1))"
        source = "Gunther 2007"
        peak = np.sqrt((1 - parameters["sigma"]) / parameters["kappa"]) if parameters["kappa"] > 0 else np.inf
        ends = f"More than {peak:.0f} would be slower. " if peak <= REACH * most else ""
    else:
        form, source = "X(p) = rate / (serial + (1 - serial) / p)", "Amdahl 1967"
        ends = f"{percent(parameters['serial'])} of the work does not get faster with ranks. "
    why = f"{measured_words}{ends}It says nothing of more than {REACH * most} ranks."
    return facts | {"form": form, "source": source, "parameters": parameters, "state": LAW, "verdict": why}


def equivalence(name: str, runs: pd.DataFrame, margin: float) -> dict:
    """Test that the loss does not depend on ranks, in strong scaling: two one-sided t tests, paired by seed.

    Schuirmann 1987.

    Args:
        runs: of one model at one size.
        margin: largest difference of losses that counts as none.
    """
    losses = runs.pivot_table(index="seed", columns="gpus", values="loss")
    least = losses.columns.min()
    facts = {"name": f"{name}: loss by ranks", "margin": margin, "differences": {}}
    verdicts = []
    for gpus in losses.columns[1:]:
        differences = (losses[gpus] - losses[least]).dropna()
        largest = float(differences.abs().max()) if len(differences) else None
        entry = {"largest": largest, "seeds": len(differences), "p": None}
        if len(differences) > 1 and differences.std() > 0:
            tests = [
                stats.ttest_1samp(differences, side * margin, alternative=way).pvalue
                for side, way in ((-1, "greater"), (1, "less"))
            ]
            entry["p"] = float(max(tests))
            shown = "equivalent" if entry["p"] < 0.05 else "not shown to be equivalent"
            verdicts.append(f"Losses on {gpus} and {least} ranks are {shown} within {margin:.2g}.")
        elif largest == 0:
            verdicts.append(f"Losses on {gpus} and {least} ranks are the same.")
        elif len(differences):
            seeds = "one seed says" if len(differences) == 1 else f"all {len(differences)} seeds say"
            verdicts.append(f"Losses on {gpus} and {least} ranks are {largest:.2g} apart, as {seeds}.")
        facts["differences"][str(gpus)] = entry
    return facts | {"verdict": " ".join(verdicts)}
