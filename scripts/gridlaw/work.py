"""A run's work folder: one writer at a time, on any host, and nothing of another recipe.

Snakemake deletes a job's outputs before each attempt. What an interrupted run is to be continued from lies here, beside
the declared outputs.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import SoftFileLease, Timeout

from gridlaw import cli, gpus, launch, record

ATTEMPTS = "attempts.jsonl"
FINGERPRINT = "fingerprint"
# A holder on another host that has not been heard of for so long is dead; one on this host is known to be at once.
LEASE_SECONDS = 60.0


def attempt(
    args: Namespace,
    inputs: list[str],
    ranks: int,
    body: Callable[[Namespace, str], None],
    extendable: tuple[str, ...] = (),
) -> None:
    """Make one attempt at a training program's result, as the only one that does.

    The process that holds the work folder is the launcher of the ranks, or rank 0 of ranks that it did not launch.

    Args:
        args: of the program: `recipe`, `work` and `record`.
        inputs: files the result is made from.
        ranks: processes that `body` runs in.
        body: what each rank does with the arguments and the work's fingerprint.
        extendable: lists of the recipe that may grow without making what lies in the work folder foreign.

    Raises:
        Failure: the number of ranks that were started is not the run's, or this machine lacks what the recipe asks for.
    """
    fixed = {name: value for name, value in args.recipe.items() if name not in extendable}
    fingerprint = record.fingerprint(fixed, inputs)
    launch.join()
    if launch.is_launched() or (launch.rank() > 0 and launch.told_to_begin()):
        body(args, fingerprint)
    elif launch.rank() == 0:
        if problem := launch.problem(ranks) or gpus.problem(args.recipe["attention"]):
            if launch.is_rank():
                launch.tell(begin=False)
            raise cli.Failure(problem)
        with _held(Path(args.work), fingerprint):
            finished = record.is_finished(args.record, record.fingerprint(args.recipe, inputs))
            if launch.is_rank():
                launch.tell(begin=not finished)
            if finished:
                print("finished by another process meanwhile", file=sys.stderr)
            elif launch.is_rank():
                body(args, fingerprint)
            elif ranks > 1:
                launch.run(ranks)
            else:
                gpus.take(1)
                body(args, fingerprint)
            remove_checkpoints(args.work)


@contextmanager
def _held(folder: Path, fingerprint: str) -> Iterator[None]:
    """Hold a work folder: wait for another writer to end, then drop what was made by another recipe, code or input."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, which is removed while the lease is held and while others wait for it.
    lease = SoftFileLease(f"{folder}.lease", lease_duration=LEASE_SECONDS, on_compromise=_lost)
    _acquire(lease, folder)
    try:
        _drop_foreign(folder, fingerprint)
        _append(folder, {"started": _now(), "host": socket.gethostname(), "pid": os.getpid(), **_job()})
        try:
            yield
        except BaseException as error:
            _append(folder, {"ended": _now(), "cause": _cause(error)})
            raise
        (folder / ATTEMPTS).unlink()
        if [entry.name for entry in folder.iterdir()] == [FINGERPRINT]:
            shutil.rmtree(folder)
    finally:
        lease.release()


def remove_checkpoints(folder: str | Path) -> None:
    """Remove the checkpoints of a run whose result is written."""
    for checkpoint in [*Path(folder).glob("checkpoint-*"), Path(folder, ".partial")]:
        shutil.rmtree(checkpoint, ignore_errors=True)


def attempts(folder: str | Path) -> list[dict]:
    """All attempts at a run so far, each with start, end and cause; the last one, which is writing, ends now."""
    entries: list[dict] = []
    for line in Path(folder, ATTEMPTS).read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            # Cut off by a full disk.
            continue
        if "started" in entry:
            entries.append({**entry, "ended": None, "cause": "killed"})
        else:
            entries[-1] |= entry
    entries[-1] |= {"ended": _now(), "cause": "finished"}
    return entries


def _acquire(lease: SoftFileLease, folder: Path) -> None:
    try:
        lease.acquire(timeout=0)
    except Timeout:
        print(f"{folder}: another process writes there; waiting for it to end", file=sys.stderr, flush=True)
        lease.acquire(poll_interval=0.5)


def _lost(compromise: object) -> None:
    """Stop at once: another process may hold the folder, and two must not write."""
    print(f"lost the lease on a work folder: {compromise}", file=sys.stderr, flush=True)
    os._exit(1)


def _drop_foreign(folder: Path, fingerprint: str) -> None:
    file = folder / FINGERPRINT
    if not file.exists() or file.read_text() != fingerprint:
        if file.exists():
            print(f"{folder}: dropped what an earlier recipe, code or input had left", file=sys.stderr, flush=True)
            shutil.rmtree(folder)
        folder.mkdir(exist_ok=True)
        file.write_text(fingerprint)


def _append(folder: Path, entry: dict) -> None:
    with open(folder / ATTEMPTS, "a") as stream:
        stream.write(json.dumps(entry) + "\n")


def _cause(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "SIGTERM" if error.code == launch.TERMINATED else f"exit status {error.code}"
    return f"{type(error).__name__}: {error}"


def _job() -> dict[str, str]:
    return {"slurm_job": os.environ["SLURM_JOB_ID"]} if "SLURM_JOB_ID" in os.environ else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
