"""The cost of Snakemake's head process while jobs run, with Snakemake unchanged and with gridlaw's changes.

    python benchmarks/head.py
    python benchmarks/head.py --jobs 400 --cores 24 --seconds 2
    python benchmarks/head.py --slurm --jobs 300 --cores 50    # on a cluster that tests/slurm/cluster.py starts

The workflow has jobs that do nothing and are all ready at the start. `--cores` is the number of parallel jobs; on the
cluster, of jobs in its queue. There a job is a line of shell without Snakemake around it, because only the head process
is measured. The program prints passes of the scheduler, the largest number of its timers, CPU seconds of the head
process and of the programs that it starts (a solver, Slurm's commands, local jobs), and the duration of the run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import common

SIDES = {"unchanged": "ilp", "without timers": "ilp", "gridlaw": "greedy"}
SNAKEFILE = """
rule all:
    input: [f"done/{number}" for number in range(config["jobs"])]
    localrule: True
rule one:
    output: "done/{number}"
    params: seconds=config["seconds"]
    shell: "sleep {params.seconds}; touch {output}"
"""
SLURM = [
    *("--executor", "slurm", "--default-resources", "runtime=5", "mem_mb=100"),
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "20"),
]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000, help="jobs of the workflow (default: 2000)")
    parser.add_argument("--cores", type=int, default=2, help="parallel jobs (default: 2)")
    parser.add_argument("--seconds", type=float, default=0.0, help="duration of a job (default: 0)")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="variants to measure")
    parser.add_argument("--slurm", action="store_true", help="submit the jobs to a cluster")
    args = parser.parse_args()
    common.print_machine(1)
    with cluster() if args.slurm else contextlib.nullcontext():
        common.print_table([measure(side, args) for side in args.sides])


def cluster() -> contextlib.AbstractContextManager:
    """Start the tests' cluster.

    Raises:
        SystemExit: it cannot be started here; the message gives the reason.
    """
    sys.path.insert(0, str(common.ROOT / "tests/slurm"))
    from cluster import Cluster, NotHere

    try:
        return Cluster()
    except NotHere as why:
        sys.exit(f"no cluster: {why}")


def measure(side: str, args: argparse.Namespace) -> dict[str, str]:
    """Run the workflow in its own process; gives a row of the table."""
    where = [*SLURM, "--jobs"] if args.slurm else ["--cores"]
    typed = [*where, args.cores, "--scheduler", SIDES[side], "--config", f"jobs={args.jobs}", f"seconds={args.seconds}"]
    with tempfile.TemporaryDirectory(prefix="gridlaw-") as folder:
        Path(folder, "Snakefile").write_text(SNAKEFILE)
        command = [sys.executable, __file__, "run", side, "--workflow-profile", "none", *typed]
        done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
        number = len(list(Path(folder, "done").glob("*")))
    assert number == args.jobs, f"{number} of {args.jobs} jobs are done\n{done.stdout}{done.stderr}"
    return {"": side, **json.loads(done.stdout.splitlines()[-1])}


def run(side: str, typed: list[str]) -> None:
    """Run Snakemake in this process, and print its figures as JSON."""
    import snakemake_executor_plugin_slurm as plugin
    from snakemake import cli
    from snakemake.scheduling.job_scheduler import JobScheduler

    from gridlaw.hooks import throttle

    if side != "unchanged":
        throttle.mend()
    passes, timers = 0, 0
    ready = JobScheduler.open_jobs.fget

    def count_pass(scheduler: JobScheduler) -> list:
        nonlocal passes, timers
        passes += 1
        timers = max(timers, _timers())
        return ready(scheduler)

    # The scheduler reads this property once per pass.
    JobScheduler.open_jobs = property(count_pass)
    plugin.Executor.format_job_exec = lambda _, job: f"mkdir -p done; {job.shellcmd}"
    start = time.monotonic()
    with contextlib.suppress(SystemExit):
        cli.main(typed)
    while _timers():
        time.sleep(0.01)
    seconds = time.monotonic() - start
    head, others = (sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    figures = {
        "passes": str(passes),
        "timers": str(timers),
        "head, CPU s": f"{head:.1f}",
        "others, CPU s": f"{others:.1f}",
        "seconds": f"{seconds:.0f}",
    }
    print("", json.dumps(figures), sep="\n")


def _timers() -> int:
    return sum(isinstance(thread, threading.Timer) for thread in threading.enumerate())


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(sys.argv[2], sys.argv[3:])
    else:
        main()
