"""Snakemake's limit of job starts per timespan, without a timer thread for each pass of its scheduler.

`--max-jobs-per-timespan`, 100/1s by default, may hold back ready jobs, which the scheduler has to consider again after
the timespan. For this, Snakemake 9.27 starts a thread at the end of every pass, even if no job was held back. The
thread causes a pass, and the pass starts a thread. While jobs wait for a core or a node, each finished job adds another
chain of one pass per timespan, and each pass selects among all ready jobs. The threads also delay the end of the
process by a timespan.

This module replaces the threads by one alarm. It is only set after a pass that reached the limit, for the moment at
which the limit allows the next start.
"""

from __future__ import annotations

import math
import threading
import time

from snakemake.scheduling.job_scheduler import JobRateLimiter, JobScheduler


class Alarm(threading.Semaphore):
    """A semaphore that can also be acquired once a given moment has come.

    Attributes:
        due: the moment, in seconds of `time.monotonic`; infinite if there is none.
    """

    due = math.inf

    def acquire(self) -> bool:
        """Wait for a release or for the moment, which is then cleared."""
        if self.due == math.inf:
            return super().acquire()
        if not super().acquire(timeout=max(0.0, self.due - time.monotonic())):
            self.due = math.inf
        return True


def replace_timers() -> None:
    """Replace the timer threads in every scheduler of this process."""
    JobScheduler._schedule_reevalutation = _reevaluate


def _reevaluate(scheduler: JobScheduler, delay: float) -> None:
    """Set the moment of the next pass, if the limit of job starts or a growing input queue needs one.

    Args:
        scheduler: a scheduler at the end of a pass.
        delay: seconds after which Snakemake would run the next pass.
    """
    limiter, alarm = scheduler.job_rate_limiter, scheduler._open_jobs
    # Other threads hold this semaphore, so change its class instead of replacing it.
    alarm.__class__ = Alarm
    if limiter is not None and len(limiter._jobs) >= limiter.max_jobs:
        alarm.due = time.monotonic() + min(delay, _until_next_start(limiter))
    elif scheduler.workflow.dag.has_unfinished_queue_input_jobs():
        alarm.due = time.monotonic() + delay
    else:
        alarm.due = math.inf


def _until_next_start(limiter: JobRateLimiter) -> float:
    """Return the seconds until the oldest counted start is a timespan ago."""
    now = time.time()
    oldest = next(iter(limiter._jobs), now)
    return oldest + limiter.timespan - now
