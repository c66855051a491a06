"""The learning-rate schedule: warm-up, stable, decay (WSD; Hu et al. 2024, MiniCPM, section 4).

Linear and cosine schedules are the cases in which the decay begins at the end of the warm-up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Factor of the learning rate after a fraction of the decay: 1 at its start, 0 at its end.
SHAPES = {
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    # Hägele et al. 2024, section 3.
    "1-sqrt": lambda progress: 1 - math.sqrt(progress),
}


@dataclass(frozen=True)
class Schedule:
    """Factor of the peak learning rate at each optimizer step.

    Args:
        warmup: steps over which the learning rate rises linearly; it is above 0 at the first one.
        decay_from: step at which the decay begins; the steps before it do not depend on where the run ends.
        steps: optimizer steps of the run.
        shape: a name of `SHAPES`; None for a run that ends before its decay.
    """

    warmup: int
    decay_from: int
    steps: int
    shape: str | None

    def __call__(self, step: int) -> float:
        """Return the factor at an optimizer step, counted from 0."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        # The factor is still 1 here, because the trunk's last state already has the branch's learning rate.
        if step <= self.decay_from:
            return 1.0
        return SHAPES[self.shape]((step - self.decay_from) / max(1, self.steps - self.decay_from))


def branch_point(steps: int, decay_ratio: float, warmup: int) -> int:
    """Return the optimizer step at which a run of `steps` begins to decay, which is never before its warm-up ends."""
    return max(min(warmup, steps), steps - round(decay_ratio * steps))


def make_schedule(name: str, warmup_ratio: float, steps: int) -> Schedule:
    """Return a schedule for fine-tuning: `linear`, `cosine` or `constant`, after a warm-up of a share of the steps."""
    warmup = round(warmup_ratio * steps)
    if name == "constant":
        return Schedule(warmup, steps, steps, "linear")
    return Schedule(warmup, warmup, steps, name)
