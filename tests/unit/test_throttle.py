"""Snakemake's limit of job starts per timespan, and the scheduler that a run gets."""

import hashlib
import inspect
import json
import math
import subprocess
import sys
import threading
import time
from collections import deque
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake import cli
from snakemake.scheduling import job_scheduler
from snakemake.settings.types import MaxJobsPerTimespan

from gridlaw.hooks import throttle

ROOT = Path(__file__).resolve().parents[2]
# Digests of the classes whose insides the module uses, as they are in Snakemake 9.27.1.
KNOWN = {
    "JobScheduler": "9ffa404532c7232e",
    "JobRateLimiter": "00d1fe71c5311fb8",
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_scheduler_is_the_one_that_is_known(name):
    source = inspect.getsource(getattr(job_scheduler, name))
    digest = hashlib.sha256(source.encode()).hexdigest()
    assert digest[:16] == KNOWN[name], (
        "Snakemake's scheduler has changed: see whether gridlaw.hooks.throttle still suits it"
    )


def scheduler(limit=None, starts=(), queued=False):
    """The hook's view of a scheduler after one pass."""
    limiter = limit and job_scheduler.JobRateLimiter(MaxJobsPerTimespan.parse_choice(limit))
    if limiter:
        limiter._jobs = deque(starts)
    dag = SimpleNamespace(has_unfinished_queue_input_jobs=lambda: queued)
    return SimpleNamespace(
        job_rate_limiter=limiter, _open_jobs=threading.Semaphore(0), workflow=SimpleNamespace(dag=dag)
    )


@pytest.fixture
def clocks(monkeypatch):
    """A wall clock and a monotonic one that stand still."""
    monkeypatch.setattr(throttle, "time", SimpleNamespace(time=lambda: 1000.0, monotonic=lambda: 50.0))


@pytest.mark.parametrize(
    ("limit", "starts", "queued", "delay", "due"),
    [
        ("3/10s", [992.0, 993.0, 999.0], False, 10, 52.0),
        ("3/10s", [992.0, 993.0], False, 10, math.inf),
        ("3/10s", [], False, 10, math.inf),
        ("0/10s", [], False, 10, 60.0),
        # The wall clock was put back by an hour.
        ("1/10s", [4600.0], False, 10, 60.0),
        ("3/10s", [992.0], True, 7, 57.0),
        (None, [], True, 7, 57.0),
        (None, [], False, 7, math.inf),
    ],
)
def test_when_a_pass_is_due(clocks, limit, starts, queued, delay, due):
    one = scheduler(limit, starts, queued)
    throttle._reevaluate(one, delay)
    assert one._open_jobs.due == due


def test_a_burst_of_passes_leaves_one_moment_and_no_thread():
    one, before = scheduler("3/1s", [time.time() - 0.9] * 3), threading.active_count()
    for _ in range(1000):
        throttle._reevaluate(one, 1)
    assert threading.active_count() == before
    assert one._open_jobs.acquire()
    assert one._open_jobs.due == math.inf
    # There is nothing left that would let it through once more.
    assert one._open_jobs._value == 0


def test_a_finished_job_does_not_wait_for_the_moment():
    one = scheduler("3/1d", [time.time()] * 3)
    throttle._reevaluate(one, 86400)
    due = one._open_jobs.due
    threading.Timer(0.01, one._open_jobs.release).start()
    assert one._open_jobs.acquire()
    assert one._open_jobs.due == due


RUN = """
import json, sys, threading, time
from snakemake import cli
from snakemake.scheduling.job_scheduler import JobRateLimiter, JobScheduler
from gridlaw.hooks import throttle

throttle.replace_timers()
starts, passes = [], [0]
register, open_jobs = JobRateLimiter.register_jobs, JobScheduler.open_jobs.fget

def registered(limiter, number):
    register(limiter, number)
    starts.extend([time.monotonic()] * number)

def opened(scheduler):
    passes[0] += 1
    return open_jobs(scheduler)

JobRateLimiter.register_jobs, JobScheduler.open_jobs = registered, property(opened)
try:
    cli.main(sys.argv[1:])
except SystemExit as ended:
    timers = sum(isinstance(thread, threading.Timer) for thread in threading.enumerate())
    print(json.dumps({"code": ended.code, "starts": starts, "passes": passes[0], "timers": timers}))
"""
SNAKEFILE = """
rule all:
    input: [f"{number}.done" for number in range(config["jobs"])]
    localrule: True
rule one:
    output: touch("{number}.done")
"""


def run(folder, jobs, limit):
    """A whole run of Snakemake with the hook, of some jobs and the one that wants them."""
    (folder / "Snakefile").write_text(SNAKEFILE)
    command = ["--cores", "100", "--scheduler", "greedy", "--max-jobs-per-timespan", limit, "--config", f"jobs={jobs}"]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r})\n{RUN}", *command],
        cwd=folder, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return SimpleNamespace(**json.loads(done.stdout.splitlines()[-1]))


def test_no_more_jobs_start_in_a_timespan_than_may(tmp_path):
    made = run(tmp_path, 11, "4/1s")
    assert made.code == 0
    assert len(made.starts) == 12
    # Wall clock and monotonic one differ by less.
    assert all(later - earlier > 0.95 for earlier, later in zip(made.starts, made.starts[4:], strict=False))
    assert all(earlier <= later for earlier, later in pairwise(made.starts))
    # One for each job that ends, one for each time that the limit lets further jobs start, and the first.
    assert made.passes <= 12 + 12 + 1
    assert made.timers == 0


def test_the_end_does_not_wait_for_a_timespan_to_be_over(tmp_path):
    # The last start reaches the limit; a run that waited for the next one would wait until tomorrow.
    assert run(tmp_path, 5, "6/1d").code == 0


@pytest.mark.parametrize(
    ("folder", "typed", "scheduler"),
    [
        (ROOT, [], "greedy"),
        (ROOT, ["--profile", "local"], "greedy"),
        (ROOT, ["--profile", "slurm"], "greedy"),
        (ROOT, ["--directory", "runs/novels"], "greedy"),
        ("/", ["--snakefile", str(ROOT / "Snakefile")], "greedy"),
        (ROOT, ["--scheduler", "ilp"], "ilp"),
    ],
)
def test_every_way_to_start_takes_the_cheap_scheduler(monkeypatch, folder, typed, scheduler):
    monkeypatch.chdir(folder)
    _, arguments = cli.parse_args(["--dry-run", *typed])
    assert arguments.scheduler == scheduler


def test_the_workflow_mends_the_scheduler():
    program = (
        "from snakemake import cli\n"
        "from snakemake.scheduling.job_scheduler import JobScheduler\n"
        "try: cli.main(['--list-rules'])\n"
        "except SystemExit: print(JobScheduler._schedule_reevalutation.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "gridlaw.hooks.throttle"
