"""What Snakemake's head process costs while jobs run, as Snakemake comes and as gridlaw has it.

    python benchmarks/head.py
    python benchmarks/head.py --jobs 400 --cores 24 --seconds 2
    python benchmarks/head.py --slurm --jobs 300 --cores 50    # on a cluster that tests/slurm/cluster.py starts

The workflow is of jobs that do nothing, all of which are ready at the start. `cores` is how many run at a time; on the
cluster, how many are in its queue. There a job is its line of shell without a Snakemake around it, for only the head
process is measured.
Printed are passes of the scheduler, its most timers at a time, CPU seconds of the head process and of the programs that
it starts (a solver, Slurm's commands, jobs that run beside it), and how long the run took.
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

SIDES = {"as it comes": "ilp", "without timers": "ilp", "gridlaw": "greedy"}
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
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000, help="of the workflow (default: 2000)")
    parser.add_argument("--cores", type=int, default=2, help="jobs at a time (default: 2)")
    parser.add_argument("--seconds", type=float, default=0.0, help="that a job takes (default: 0)")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="what is measured")
    parser.add_argument("--slurm", action="store_true", help="submit the jobs to a cluster")
    args = parser.parse_args()
    common.print_machine(1)
    with cluster() if args.slurm else contextlib.nullcontext():
        common.print_table([measured(side, args) for side in args.sides])


def cluster() -> contextlib.AbstractContextManager:
    """The tests' cluster.

    Raises:
        SystemExit: with a line that says why it cannot be started here.
    """
    sys.path.insert(0, str(common.ROOT / "tests/slurm"))
    from cluster import Cluster, NotHere

    try:
        return Cluster()
    except NotHere as why:
        sys.exit(f"no cluster: {why}")


def measured(side: str, args: argparse.Namespace) -> dict[str, str]:
    """Run the workflow in a process of its own; gives the table's row."""
    where = [*SLURM, "--jobs"] if args.slurm else ["--cores"]
    typed = [*where, args.cores, "--scheduler", SIDES[side], "--config", f"jobs={args.jobs}", f"seconds={args.seconds}"]
    with tempfile.TemporaryDirectory(prefix="gridlaw-") as folder:
        Path(folder, "Snakefile").write_text(SNAKEFILE)
        command = [sys.executable, __file__, "run", side, "--workflow-profile", "none", *typed]
        done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
        made = len(list(Path(folder, "done").glob("*")))
    assert made == args.jobs, f"{made} of {args.jobs} jobs are done\n{done.stdout}{done.stderr}"
    return {"": side, **json.loads(done.stdout.splitlines()[-1])}


def run(side: str, typed: list[str]) -> None:
    """Run Snakemake in this process, and print its figures as JSON."""
    import snakemake_executor_plugin_slurm as plugin
    from snakemake import cli
    from snakemake.scheduling.job_scheduler import JobScheduler

    from gridlaw import throttle

    if side != "as it comes":
        throttle.mend()
    passes, timers = 0, 0
    ready = JobScheduler.open_jobs.fget

    def asked(scheduler: JobScheduler) -> list:
        nonlocal passes, timers
        passes += 1
        timers = max(timers, _timers())
        return ready(scheduler)

    # The scheduler asks for it once a pass.
    JobScheduler.open_jobs = property(asked)
    plugin.Executor.format_job_exec = lambda _, job: f"mkdir -p done; {job.shellcmd}"
    began = time.monotonic()
    with contextlib.suppress(SystemExit):
        cli.main(typed)
    while _timers():
        time.sleep(0.01)
    seconds = time.monotonic() - began
    own, others = (sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    figures = {
        "passes": str(passes),
        "timers": str(timers),
        "head, CPU s": f"{own:.1f}",
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
