"""The learning rate over a run: warm-up, constant rate, decay (Hu et al. 2024, MiniCPM, section 4: WSD).

Linear and cosine schedules are the ones that decay from the end of the warm-up on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# What is left of the rate after a fraction of the decay, from 1 at its start to 0 at its end.
SHAPES = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    # Hägele et al. 2024, section 3.
    "1-sqrt": lambda done: 1 - math.sqrt(done),
}


@dataclass(frozen=True)
class Schedule:
    """Factor of the peak rate at each update.

    Args:
        warmup: updates over which the rate rises linearly; the first one is no longer 0.
        decay_from: update that the decay begins at; those before it do not depend on where the run ends.
        steps: updates of the run.
        shape: a name of `SHAPES`; None for a run that ends before it decays.
    """

    warmup: int
    decay_from: int
    steps: int
    shape: str | None

    def __call__(self, step: int) -> float:
        """Factor at an update, counted from 0."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        # The decay begins at 1: the trunk's last state has the branch's rate already.
        if step <= self.decay_from:
            return 1.0
        return SHAPES[self.shape]((step - self.decay_from) / max(1, self.steps - self.decay_from))


def branch_point(steps: int, decay_ratio: float, warmup: int) -> int:
    """The update that a run of `steps` updates begins to decay at; never before its warm-up is over."""
    return max(min(warmup, steps), steps - round(decay_ratio * steps))


def named(name: str, warmup_ratio: float, steps: int) -> Schedule:
    """The schedule that fine-tuning goes by: `linear`, `cosine` or `constant` after a share of warm-up."""
    warmup = round(warmup_ratio * steps)
    if name == "constant":
        return Schedule(warmup, steps, steps, "linear")
    return Schedule(warmup, warmup, steps, name)
