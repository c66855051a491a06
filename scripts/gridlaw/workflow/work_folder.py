"""The work folder of a training: its holder, the attempts, the progress, and the basis of its files.

`runtime.work` runs the attempts.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gridlaw import cli, io

if TYPE_CHECKING:
    from filelock import SoftFileLease

ATTEMPTS = "attempts.jsonl"
BASIS = "basis.json"
# In a work folder of version 0.1: the fingerprint alone.
FINGERPRINT = "fingerprint"
# Last file that a finished run writes, if the program has several runs.
FACTS = "facts.json"
# A holder on another host counts as dead after this time without a sign of life; on this host it is checked directly.
LEASE_SECONDS = 60.0
# Causes of an attempt's end after which it can resume.
KILLED, TERMINATED = "killed", "SIGTERM"


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


def lease(folder: str | Path) -> SoftFileLease:
    """Return the lease of a work folder.

    It lies beside the folder, which is removed while processes hold the lease or wait for it.
    """
    # Imported here because help does not need it.
    from filelock import SoftFileLease

    return SoftFileLease(f"{folder}.lease", lease_duration=LEASE_SECONDS, on_compromise=_exit)


def take(held: SoftFileLease) -> bool:
    """Take a lease; return whether it was free."""
    from filelock import Timeout

    try:
        held.acquire(timeout=0)
    except Timeout:
        return False
    return True


def is_held(folder: str | Path) -> bool:
    """Return whether a process seems to write in a work folder, without taking its lease."""
    held = lease(folder)
    owner = held.owner
    try:
        fresh = time.time() - Path(held.lock_file).stat().st_mtime < LEASE_SECONDS
    except FileNotFoundError:
        return False
    # The host's name may be followed by the name of a container.
    is_local = owner is not None and owner.hostname.partition("?")[0] == socket.gethostname()
    # Imported here because help does not need it.
    import psutil

    return fresh and not (is_local and not psutil.pid_exists(owner.pid))


@contextmanager
def claim(folder: str | Path) -> Iterator[None]:
    """Hold a work folder, but do not wait for it.

    Raises:
        Failure: another process holds it.
    """
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    held = lease(folder)
    if not take(held):
        raise cli.Failure(f"{folder}: another process is writing there; wait for it to end")
    try:
        yield
    finally:
        held.release()


def locked_files() -> set[str]:
    """Return the inputs and outputs of a Snakemake that runs in the working directory, or was killed there."""
    return {line for lock in Path(".snakemake/locks").glob("*.lock") for line in lock.read_text().splitlines()}


def _exit(compromise: object) -> None:
    """Exit at once: the lease is lost, so another process may hold the folder, and two must not write to it."""
    print(f"lost the lease on a work folder: {compromise}", file=sys.stderr, flush=True)
    os._exit(1)
