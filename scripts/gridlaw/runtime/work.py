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
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gridlaw import cli, io
from gridlaw.runtime import gpus, heartbeat, launch
from gridlaw.workflow import reasons, record, work_folder

# Largest number of differences that are named when files are deleted.
SHOWN = 6


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
        with _hold(Path(args.work), work_folder.fixed(basis, args.extendable)):
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
    lease = work_folder.lease(folder)
    if not work_folder.take(lease):
        print(f"{folder}: another process is writing there; waiting for it to end", file=sys.stderr, flush=True)
        lease.acquire(poll_interval=0.5)
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
        (folder / work_folder.ATTEMPTS).unlink()
        # The name of a file that a killed process did not finish begins with a dot.
        kept = (work_folder.BASIS, work_folder.FINGERPRINT)
        if all(entry.name in kept or entry.name.startswith(".") for entry in folder.iterdir()):
            shutil.rmtree(folder)
    finally:
        lease.release()


def remove_checkpoints(folder: str | Path) -> None:
    """Remove the checkpoints of a run whose result is written."""
    for checkpoint in [*Path(folder).glob("checkpoint-*"), Path(folder, ".partial")]:
        shutil.rmtree(checkpoint, ignore_errors=True)


def history(folder: str | Path) -> dict[str, list[dict]]:
    """Return what a training's record holds of the attempts at it.

    Returns:
        `attempts`: each with start, end and cause; the last one, which is running, ends now. If a person has accepted
        that the training resumes although something differed, `accepted`: each time with note, name and time.
    """
    entries = work_folder.read_attempts(folder)
    entries[-1] |= {"ended": _now(), "cause": "finished"}
    # The record itself holds the present basis.
    accepted = [entry | {"basis": {}} for entry in (work_folder.read_basis(folder) or {}).get("accepted", [])]
    return {"attempts": entries, **({"accepted": accepted} if accepted else {})}


def _drop_foreign(folder: Path, basis: dict) -> None:
    """Delete the files in a work folder unless they have this basis, and say why."""
    held = work_folder.read_basis(folder)
    differences = reasons.training_differences(held, basis) if held else []
    if held and not differences:
        return
    if work_folder.read_earlier_fingerprint(folder):
        differences = ["they are of an earlier version of gridlaw"]
    if differences:
        words = "; ".join(
            [*differences[:SHOWN], *[f"and {len(differences) - SHOWN} more"] * (len(differences) > SHOWN)]
        )
        print(f"{folder}: deleted the files of an earlier attempt: {words}", file=sys.stderr, flush=True)
    # Also what a process left that was killed while it deleted.
    if folder.exists():
        shutil.rmtree(folder)
    work_folder.write_basis(folder, {"fingerprint": record.fingerprint(basis), **basis})


def _read_fingerprint(folder: str | Path) -> str:
    return io.read_json(Path(folder, work_folder.BASIS))["fingerprint"]


def _append(folder: Path, entry: dict) -> None:
    with open(folder / work_folder.ATTEMPTS, "a") as stream:
        stream.write(json.dumps(entry) + "\n")


def _cause(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return work_folder.TERMINATED if error.code == launch.TERMINATED else f"exit status {error.code}"
    return f"{type(error).__name__}: {error}"


def _job() -> dict[str, str]:
    return {"slurm_job": os.environ["SLURM_JOB_ID"]} if "SLURM_JOB_ID" in os.environ else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
