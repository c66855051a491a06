"""Records: each finished step writes one beside its result, so that the result explains itself anywhere.

A *manifest* describes the result (digests, counts) and is the same on every run. A *record* describes how the result
came about. Its *basis* is everything that decides the result: recipe, code and inputs.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from gridlaw import io
from gridlaw.workflow import identity

PACKAGES = (
    "snakemake",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "accelerate",
    "evaluate",
    "numpy",
    "pandas",
    "scikit-learn",
)
# Those that compute results.
LIBRARIES = ("torch", "transformers")


def basis(facts: dict) -> dict:
    """Return what a result is held valid for: what it was made from, or what a person has accepted since.

    Args:
        facts: its record, or what a work folder holds.
    """
    for entry in facts.get("accepted", []):
        facts = facts | entry["basis"]
    return facts


def is_marked(facts: dict) -> bool:
    """Return whether a person has accepted or adopted a result since it was made."""
    return "accepted" in facts or "adopted" in facts


def marks(facts: dict) -> list[str]:
    """List in words how a person has accepted or adopted a result since it was made, each once."""
    adopted = [f"adopted from {facts['adopted']['from']}"] if "adopted" in facts else []
    return [*adopted, *dict.fromkeys(f"accepted: {entry['note']}" for entry in facts.get("accepted", []))]


def signed(**entry: object) -> dict:
    """Return an entry of a record with the name of the user, and the time."""
    return {**entry, "by": getpass.getuser(), "when": datetime.now(UTC).isoformat(timespec="seconds")}


def libraries() -> dict[str, str]:
    """Versions of the libraries that compute, as far as this environment has them."""
    return _versions(LIBRARIES)


def current_basis(args: Namespace, inputs: Iterable[str | Path] | None = None) -> dict:
    """Return everything that decides the result of the running program, as JSON holds it.

    Args:
        args: its arguments, among them `recipe`, `inputs` and `plugins`.
        inputs: files that the result is made from, if not those that the arguments name.
    """
    program = Path(sys.argv[0])
    return {
        "recipe": args.recipe,
        "code": identity.digest(program, args.plugins),
        "definitions": identity.definitions(program, args.plugins),
        "inputs": {str(path): io.sha256(path) for path in (args.inputs if inputs is None else inputs)},
        "libraries": libraries(),
    }


def fingerprint(basis: dict) -> str:
    """Digest (SHA-256, hexadecimal) of a `current_basis`; the paths of inputs do not matter, their order does."""
    whole = {
        "recipe": basis["recipe"],
        "code": basis["code"],
        "inputs": list(basis["inputs"].values()),
        "libraries": [basis["libraries"].get(package) for package in LIBRARIES],
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def is_finished(file: str | Path, fingerprint: str) -> bool:
    """Return whether a record is that of a run with this fingerprint, and the run's outputs are unchanged since."""
    try:
        facts = io.read_json(file)
        is_unchanged = all(io.sha256(path) == digest for path, digest in facts["outputs"].items())
    except (OSError, ValueError, KeyError):
        return False
    return facts.get("fingerprint") == fingerprint and is_unchanged


def write(args: Namespace, inputs: Iterable[str | Path] | None = None, **facts: object) -> None:
    """Write the record of the running program.

    Args:
        args: its arguments, among them `recipe`, `record`, `inputs`, `outputs` and `plugins`.
        inputs: files the result was made from, if not those that the arguments name; manifests stand for the large
            files they describe.
        facts: other known values of the run (tokens, throughput, ...), JSON values.
    """
    # Imported here because help and the table of steps do not need it.
    import psutil

    # The cost of a job includes its imports.
    basis, started = current_basis(args, inputs), psutil.Process().create_time()
    io.write_json(
        args.record,
        {
            "step": Path(sys.argv[0]).stem,
            "recipe": basis["recipe"],
            "code": basis["code"],
            "definitions": basis["definitions"],
            "fingerprint": fingerprint(basis),
            "inputs": basis["inputs"],
            "outputs": {str(path): io.sha256(path) for path in args.outputs},
            **facts,
            "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            "wall_seconds": round(time.time() - started, 3),
            "host": socket.gethostname(),
            "hardware": {"machine": platform.machine(), "processor": _processor(), "cpus": os.cpu_count()},
            "environment": {
                "python": platform.python_version(),
                "platform": platform.platform(),
                **_versions(PACKAGES),
            },
        },
    )


def _versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of some packages, without those that are missing in this environment."""
    # Imported here because help and the launcher of ranks do not need it.
    from importlib import metadata

    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
