"""Compare the models that several ranks trained with the model of a single rank.

    python scripts/ranks.py --recipe ranks.json --pretrain results/pretrain/MODEL/SIZE --ranks ranks.csv \
        --record record.json

With strong scaling, all of them do the same optimization, up to floating-point summation order. A row contains, for a
gpus value and a seed: the differences of held-out and final training loss from the single rank; the largest absolute
difference of any weight; the Euclidean norm of all differences, relative to the norm of the single rank's weights; and
whether the weights are bit for bit the same.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open

from gridlaw import cli, io
from gridlaw.workflow import program, record

WEIGHTS = "model.safetensors"


def main() -> None:
    args = program.parse("ranks", __doc__)

    rows, runs = [], [Path(file).parent for file in args.records]
    for seed in args.recipe["seeds"]:
        single, *others = (run for run in runs if run.name == str(seed))
        rows += [{"gpus": int(run.parent.name), "pretrain_seed": seed, **difference(single, run)} for run in others]
    pd.DataFrame(rows).to_csv(args.ranks, index=False)
    record.write(args)


def difference(single: Path, run: Path) -> dict[str, float | bool | None]:
    """Return how much a run's losses and weights differ from those of the single rank."""
    losses = [io.read_json(folder / "record.json") for folder in (single, run)]
    digests = [io.read_json(folder / "manifest.json")["files"][WEIGHTS] for folder in (single, run)]
    same = digests[0] == digests[1]
    largest, relative = (0.0, 0.0) if same else compare_weights(single / "model" / WEIGHTS, run / "model" / WEIGHTS)
    return {
        "held_out_loss_from_one_rank": _subtract(*(facts.get("held_out_loss") for facts in losses)),
        "final_loss_from_one_rank": _subtract(*(facts["final_loss"] for facts in losses)),
        "weights_from_one_rank_max": largest,
        "weights_from_one_rank_relative": relative,
        "weights_identical_to_one_rank": same,
    }


def _subtract(single: float | None, other: float | None) -> float | None:
    return None if single is None or other is None else other - single


def compare_weights(single: Path, other: Path) -> tuple[float, float]:
    """Return the largest absolute and the relative Euclidean difference of two weight files, read tensor by tensor."""
    largest, squares, norm = [], 0.0, 0.0
    with safe_open(single, "pt") as single_file, safe_open(other, "pt") as other_file:
        for name in single_file.keys():  # noqa: SIM118
            tensor = single_file.get_tensor(name).double()
            change = other_file.get_tensor(name).double() - tensor
            largest.append(change.abs().max().item())
            squares += change.square().sum().item()
            norm += tensor.square().sum().item()
    return float(np.max(largest)), math.sqrt(squares / norm)


if __name__ == "__main__":
    cli.run(main)
