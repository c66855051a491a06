"""The work folder of a training: one writer at a time, on any host, and no files of another recipe, code or input.

Snakemake deletes a job's outputs before each attempt. Checkpoints, from which an interrupted training resumes,
therefore lie here, outside the declared outputs. The file `basis.json` holds everything that decides the result
(`record.current_basis`), the fingerprint with which checkpoints are sealed, and what a person has accepted since. An
attempt with the basis that was accepted last resumes; any other one starts again.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import SoftFileLease, Timeout

from gridlaw import cli, io
from gridlaw.runtime import gpus, heartbeat, launch
from gridlaw.workflow import reasons, record

ATTEMPTS = "attempts.jsonl"
BASIS = "basis.json"
# In a work folder of version 0.1: the fingerprint alone.
FINGERPRINT = "fingerprint"
# Last file that a finished run writes, if the program has several runs.
FACTS = "facts.json"
# A holder on another host counts as dead after this time without a sign of life; on this host it is checked directly.
LEASE_SECONDS = 60.0
# Largest number of differences that are named when files are deleted.
SHOWN = 6
# Causes of an attempt's end after which it can resume.
KILLED, TERMINATED = "killed", "SIGTERM"


def attempt(
    args: Namespace,
    ranks: int,
    body: Callable[[Namespace, str], None],
) -> None:
    """Run a training program once, while no other process works on the same result.

    The work folder is held by the launcher of the ranks, or by rank 0 if the ranks were launched by something else.

    Args:
        args: the program's arguments; among them `recipe`, `inputs`, `plugins`, `extendable`, `work` and `record`.
        ranks: number of processes that run `body`.
        body: the training, called on each rank with the arguments and the fingerprint of the work folder.

    Raises:
        Failure: the wrong number of ranks was started, or this machine lacks something that the recipe needs.
    """
    launch.join()
    if launch.is_launched() or (launch.rank() > 0 and launch.wait_for_start()):
        body(args, _read_fingerprint(args.work))
    elif launch.rank() == 0:
        if problem := launch.problem(ranks) or gpus.problem(args.recipe["attention"]):
            if launch.is_rank():
                launch.announce_start(begin=False)
            raise cli.Failure(problem)
        basis = record.current_basis(args)
        with _hold(Path(args.work), fixed(basis, args.extendable)):
            finished = record.is_finished(args.record, record.fingerprint(basis))
            if launch.is_rank():
                launch.announce_start(begin=not finished)
            if finished:
                print("another process finished this result meanwhile", file=sys.stderr)
            elif launch.is_rank():
                body(args, _read_fingerprint(args.work))
            elif ranks > 1:
                launch.run(ranks)
            else:
                gpus.take(1)
                body(args, _read_fingerprint(args.work))
            remove_checkpoints(args.work)


@contextmanager
def _hold(folder: Path, basis: dict) -> Iterator[None]:
    """Hold a work folder: wait for another writer to end, then delete files of another basis."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The lease lies beside the folder, which is removed while processes hold the lease or wait for it.
    lease = SoftFileLease(f"{folder}.lease", lease_duration=LEASE_SECONDS, on_compromise=_lost)
    _acquire(lease, folder)
    try:
        _drop_foreign(folder, basis)
        # A killed attempt could not do this.
        heartbeat.clear(folder)
        _append(folder, {"started": _now(), "host": socket.gethostname(), "pid": os.getpid(), **_job()})
        try:
            yield
        except BaseException as error:
            _append(folder, {"ended": _now(), "cause": _cause(error)})
            raise
        heartbeat.clear(folder)
        (folder / ATTEMPTS).unlink()
        # A name that begins with a dot is that of a file which a killed process did not finish.
        if all(entry.name in (BASIS, FINGERPRINT) or entry.name.startswith(".") for entry in folder.iterdir()):
            shutil.rmtree(folder)
    finally:
        lease.release()


def remove_checkpoints(folder: str | Path) -> None:
    """Remove the checkpoints of a run whose result is written."""
    for checkpoint in [*Path(folder).glob("checkpoint-*"), Path(folder, ".partial")]:
        shutil.rmtree(checkpoint, ignore_errors=True)


def fixed(basis: dict, extendable: Iterable[str]) -> dict:
    """Return a basis without the lists of the recipe that may grow while the files in the work folder remain valid."""
    recipe = {name: value for name, value in basis["recipe"].items() if name not in extendable}
    return basis | {"recipe": recipe}


def read_basis(folder: str | Path) -> dict | None:
    """Return what the files in a work folder were computed with, and what was accepted since; None if unknown."""
    return io.find_json(Path(folder, BASIS))


def read_earlier_fingerprint(folder: str | Path) -> str | None:
    """Return the fingerprint of a work folder of version 0.1; None if it is none."""
    file = Path(folder, FINGERPRINT)
    return file.read_text() if file.exists() and not Path(folder, BASIS).exists() else None


def write_basis(folder: str | Path, facts: dict) -> None:
    """Write what the files in a work folder were computed with; atomically, as all that a killed process may leave."""
    io.write_json(Path(folder, BASIS), facts)


def history(folder: str | Path) -> dict[str, list[dict]]:
    """Return what a training's record holds of the attempts at it.

    Returns:
        `attempts`: each with start, end and cause; the last one, which is running, ends now. If a person has accepted
        that the training resumes although something differed, `accepted`: each time with note, name and time.
    """
    entries = read_attempts(folder)
    entries[-1] |= {"ended": _now(), "cause": "finished"}
    # The record itself holds the present basis.
    accepted = [entry | {"basis": {}} for entry in (read_basis(folder) or {}).get("accepted", [])]
    return {"attempts": entries, **({"accepted": accepted} if accepted else {})}


def read_attempts(folder: str | Path) -> list[dict]:
    """Return the attempts noted in a work folder, with start, end and cause; one without an end was killed."""
    entries: list[dict] = []
    try:
        lines = Path(folder, ATTEMPTS).read_text().splitlines()
    except FileNotFoundError:
        return entries
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            # A full disk cut the line off.
            continue
        if "started" in entry:
            entries.append({**entry, "ended": None, "cause": KILLED})
        else:
            entries[-1] |= entry
    return entries


def run_name(train_set: int | str, seed: int) -> str:
    """Return the name of the folder of one fine-tuning run, within the work folder of its task."""
    return f"{train_set}-{seed}"


def progress(folder: str | Path) -> tuple[int, set[str]]:
    """Return the optimizer step of the last checkpoint in a work folder, and the names of the finished runs in it."""
    folder = Path(folder)
    steps = [int(path.name.split("-")[1]) for path in [*folder.glob("checkpoint-*"), *folder.glob("*/checkpoint-*")]]
    return max(steps, default=0), {path.parent.name for path in folder.glob(f"*/{FACTS}")}


def is_held(folder: str | Path) -> bool:
    """Return whether a process seems to write in a work folder, without taking its lease."""
    file = Path(f"{folder}.lease")
    owner = SoftFileLease(file, lease_duration=LEASE_SECONDS).owner
    try:
        fresh = time.time() - file.stat().st_mtime < LEASE_SECONDS
    except FileNotFoundError:
        return False
    # The host's name may be followed by the name of a container.
    is_local = owner is not None and owner.hostname.partition("?")[0] == socket.gethostname()
    return fresh and not (is_local and not psutil.pid_exists(owner.pid))


@contextmanager
def claim(folder: str | Path) -> Iterator[None]:
    """Hold a work folder, but do not wait for it.

    Raises:
        Failure: another process holds it.
    """
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    lease = SoftFileLease(f"{folder}.lease", lease_duration=LEASE_SECONDS, on_compromise=_lost)
    try:
        lease.acquire(timeout=0)
    except Timeout as error:
        raise cli.Failure(f"{folder}: another process is writing there; wait for it to end") from error
    try:
        yield
    finally:
        lease.release()


def locked_files() -> set[str]:
    """Return the inputs and outputs of a Snakemake that runs in the working directory, or was killed there."""
    return {line for lock in Path(".snakemake/locks").glob("*.lock") for line in lock.read_text().splitlines()}


def _acquire(lease: SoftFileLease, folder: Path) -> None:
    try:
        lease.acquire(timeout=0)
    except Timeout:
        print(f"{folder}: another process is writing there; waiting for it to end", file=sys.stderr, flush=True)
        lease.acquire(poll_interval=0.5)


def _lost(compromise: object) -> None:
    """Exit at once: another process may hold the folder now, and two must not write to it."""
    print(f"lost the lease on a work folder: {compromise}", file=sys.stderr, flush=True)
    os._exit(1)


def _drop_foreign(folder: Path, basis: dict) -> None:
    """Delete the files in a work folder unless they have this basis, and say why."""
    held = read_basis(folder)
    differences = reasons.of_training(held, basis) if held else []
    if held and not differences:
        return
    if read_earlier_fingerprint(folder):
        differences = ["they are of an earlier version of gridlaw"]
    if differences:
        words = "; ".join(
            [*differences[:SHOWN], *[f"and {len(differences) - SHOWN} more"] * (len(differences) > SHOWN)]
        )
        print(f"{folder}: deleted the files of an earlier attempt: {words}", file=sys.stderr, flush=True)
    # Also what a process left that was killed while it deleted.
    if folder.exists():
        shutil.rmtree(folder)
    write_basis(folder, {"fingerprint": record.fingerprint(basis), **basis})


def _read_fingerprint(folder: str | Path) -> str:
    return io.read_json(Path(folder, BASIS))["fingerprint"]


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
