"""Snakemake's limit of job starts per timespan, without a timer for each pass of its scheduler.

`--max-jobs-per-timespan`, 100/1s by default, may hold ready jobs back, and the scheduler has to look at them again when
the timespan is over. Snakemake 9.27 starts a thread for that at the end of every pass, whether or not a job was held
back; the thread causes a pass, and the pass starts a thread. While jobs wait for a core or a node, each job that ends
adds a chain of one pass per timespan, and each pass selects among all ready jobs. The threads also keep the process for
a timespan after its last job.

Here the scheduler waits no longer than until the limit allows the next start, and only after a pass in which the limit
was reached. There is one such moment at a time, and no thread.
"""

from __future__ import annotations

import math
import threading
import time

from snakemake.scheduling.job_scheduler import JobRateLimiter, JobScheduler


class Alarm(threading.Semaphore):
    """A semaphore that also lets through whoever waits for it when a moment has come.

    Attributes:
        due: the moment, in seconds of `time.monotonic`; infinite if there is none.
    """

    due = math.inf

    def acquire(self) -> bool:
        """Wait for a release or for the moment, which is over then."""
        if self.due == math.inf:
            return super().acquire()
        if not super().acquire(timeout=max(0.0, self.due - time.monotonic())):
            self.due = math.inf
        return True


def mend() -> None:
    """Have every scheduler of this process do so."""
    JobScheduler._schedule_reevalutation = _reevaluate


def _reevaluate(scheduler: JobScheduler, delay: float) -> None:
    """Have a scheduler make its next pass no later than the limit or an input that others write to asks for.

    Args:
        scheduler: at the end of a pass.
        delay: seconds after which Snakemake would make one.
    """
    limiter, alarm = scheduler.job_rate_limiter, scheduler._open_jobs
    # Other threads release it meanwhile, so that it cannot be replaced.
    alarm.__class__ = Alarm
    if limiter is not None and len(limiter._jobs) >= limiter.max_jobs:
        alarm.due = time.monotonic() + min(delay, _until_next_start(limiter))
    elif scheduler.workflow.dag.has_unfinished_queue_input_jobs():
        alarm.due = time.monotonic() + delay
    else:
        alarm.due = math.inf


def _until_next_start(limiter: JobRateLimiter) -> float:
    """Seconds until the oldest start that counts is a timespan ago."""
    now = time.time()
    oldest = next(iter(limiter._jobs), now)
    return oldest + limiter.timespan - now
