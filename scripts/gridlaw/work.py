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
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import SoftFileLease, Timeout

from gridlaw import cli, gpus, heartbeat, launch, record

ATTEMPTS = "attempts.jsonl"
FINGERPRINT = "fingerprint"
# What a finished run of several leaves last.
FACTS = "facts.json"
# A holder on another host that has not been heard of for so long is dead; one on this host is known to be at once.
LEASE_SECONDS = 60.0
# Causes of an attempt's end that are no failure: it can go on.
KILLED, TERMINATED = "killed", "SIGTERM"


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
        # An attempt that was killed could not.
        heartbeat.clear(folder)
        _append(folder, {"started": _now(), "host": socket.gethostname(), "pid": os.getpid(), **_job()})
        try:
            yield
        except BaseException as error:
            _append(folder, {"ended": _now(), "cause": _cause(error)})
            raise
        heartbeat.clear(folder)
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
    entries = begun(folder)
    entries[-1] |= {"ended": _now(), "cause": "finished"}
    return entries


def begun(folder: str | Path) -> list[dict]:
    """Attempts that a work folder tells of, with start, end and cause; one that does not say its end was killed."""
    entries: list[dict] = []
    try:
        lines = Path(folder, ATTEMPTS).read_text().splitlines()
    except FileNotFoundError:
        return entries
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            # Cut off by a full disk.
            continue
        if "started" in entry:
            entries.append({**entry, "ended": None, "cause": KILLED})
        else:
            entries[-1] |= entry
    return entries


def progress(folder: str | Path) -> tuple[int, set[str]]:
    """How far a work folder's run has come: the update of its last checkpoint, the names of the finished runs in it."""
    folder = Path(folder)
    updates = [int(path.name.split("-")[1]) for path in [*folder.glob("checkpoint-*"), *folder.glob("*/checkpoint-*")]]
    return max(updates, default=0), {path.parent.name for path in folder.glob(f"*/{FACTS}")}


def is_held(folder: str | Path) -> bool:
    """Whether a process seems to write in a work folder, as far as can be told without taking its lease."""
    file = Path(f"{folder}.lease")
    owner = SoftFileLease(file, lease_duration=LEASE_SECONDS).owner
    try:
        fresh = time.time() - file.stat().st_mtime < LEASE_SECONDS
    except FileNotFoundError:
        return False
    # The host's name may be followed by that of a container.
    here = owner is not None and owner.hostname.partition("?")[0] == socket.gethostname()
    return fresh and not (here and not psutil.pid_exists(owner.pid))


@contextmanager
def claimed(folder: str | Path) -> Iterator[None]:
    """Hold a work folder without waiting for it.

    Raises:
        Failure: another process holds it.
    """
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    lease = SoftFileLease(f"{folder}.lease", lease_duration=LEASE_SECONDS, on_compromise=_lost)
    try:
        lease.acquire(timeout=0)
    except Timeout as error:
        raise cli.Failure(f"{folder}: another process writes there") from error
    try:
        yield
    finally:
        lease.release()


def locked() -> set[str]:
    """Files that a Snakemake which runs in the working directory, or was killed there, reads or makes."""
    return {line for lock in Path(".snakemake/locks").glob("*.lock") for line in lock.read_text().splitlines()}


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
        return TERMINATED if error.code == launch.TERMINATED else f"exit status {error.code}"
    return f"{type(error).__name__}: {error}"


def _job() -> dict[str, str]:
    return {"slurm_job": os.environ["SLURM_JOB_ID"]} if "SLURM_JOB_ID" in os.environ else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
