"""Records: what a finished step leaves beside its result, so that the result explains itself anywhere.

A *manifest* holds what the result is (digests, counts) and is the same on every run; a *record* holds how it came
about.
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
from importlib import metadata
from pathlib import Path

import psutil

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
# When the process began: what a job costs includes the import of what it needs.
STARTED = psutil.Process().create_time()


def basis(made: dict) -> dict:
    """What a record's result is held valid for: what made it, or what a person has accepted in its stead since."""
    for entry in made.get("accepted", []):
        made = made | entry["basis"]
    return made


def is_marked(made: dict) -> bool:
    """Whether a person has accepted or adopted a result since it was made."""
    return "accepted" in made or "adopted" in made


def marks(made: dict) -> list[str]:
    """What a person has done to a result since it was made, in words, each once."""
    adopted = [f"adopted from {made['adopted']['from']}"] if "adopted" in made else []
    return [*adopted, *dict.fromkeys(f"accepted: {entry['note']}" for entry in made.get("accepted", []))]


def signed(**what: object) -> dict:
    """What a person does to a result, with who and when."""
    return {**what, "by": getpass.getuser(), "when": datetime.now(UTC).isoformat(timespec="seconds")}


def fingerprint(recipe: dict, inputs: Iterable[str | Path], plugins: tuple[str, ...] = ()) -> str:
    """Identity of the running program's result: recipe, code, inputs, and the versions of what computes it."""
    versions = _versions()
    whole = {
        "recipe": recipe,
        "code": identity.digest(Path(sys.argv[0]), plugins),
        "inputs": [io.sha256(path) for path in inputs],
        "libraries": [versions.get(package) for package in ("torch", "transformers")],
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def is_finished(file: str | Path, fingerprint: str) -> bool:
    """Whether a record is that of a run with this fingerprint, and the run's outputs are still as it left them."""
    try:
        found = io.read_json(file)
        outputs = all(io.sha256(path) == digest for path, digest in found["outputs"].items())
    except (OSError, ValueError, KeyError):
        return False
    return found.get("fingerprint") == fingerprint and outputs


def write(args: Namespace, inputs: Iterable[str | Path] | None = None, **facts: object) -> None:
    """Write the record of the running program.

    Args:
        args: its arguments, among them `recipe`, `record`, `inputs`, `outputs` and `plugins`.
        inputs: files the result was made from, if not those that the arguments name; manifests stand for the large
            files they describe.
        facts: other known values of the run (tokens, throughput, ...), JSON values.
    """
    program, inputs = Path(sys.argv[0]), list(args.inputs if inputs is None else inputs)
    io.write_json(
        args.record,
        {
            "step": program.stem,
            "recipe": args.recipe,
            "code": identity.digest(program, args.plugins),
            "definitions": identity.definitions(program, args.plugins),
            "fingerprint": fingerprint(args.recipe, inputs, args.plugins),
            "inputs": {str(path): io.sha256(path) for path in inputs},
            "outputs": {str(path): io.sha256(path) for path in args.outputs},
            **facts,
            "started": datetime.fromtimestamp(STARTED, UTC).isoformat(timespec="seconds"),
            "wall_seconds": round(time.time() - STARTED, 3),
            "host": socket.gethostname(),
            "hardware": {"machine": platform.machine(), "processor": _processor(), "cpus": os.cpu_count()},
            "environment": {"python": platform.python_version(), "platform": platform.platform(), **_versions()},
        },
    )


def _versions() -> dict[str, str]:
    """Versions of the packages that this environment has; per-step environments have a part of them."""
    versions = {}
    for package in PACKAGES:
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
