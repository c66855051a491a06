"""The identity of a program: a digest of its code, which each rule has as its parameter `code`.

Snakemake does not see the modules that a script imports, and a fresh clone's time stamps would re-run everything. The
digest covers the definitions that a program can reach (`reach`), without comments, docstrings and messages. It does not
depend on the files that contain these definitions, on modules that no result depends on, or on plug-ins that the
step's recipe does not name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from gridlaw import io
from gridlaw.workflow.reach import COMPILED, Reach, project_files

# Finding the definitions takes longer than the rest of a program's start, so the digests are cached in this file.
CACHE = Path(COMPILED, "definitions.json")


@cache
def digest(script: Path, plugins: tuple[str, ...] = ()) -> str:
    """Return the identity of a program (16 hex digits).

    Args:
        script: the program, in the folder that holds the project's packages.
        plugins: dotted names of the plug-in modules that the step's recipe names.
    """
    return _find(script, plugins)["digest"]


@cache
def definitions(script: Path, plugins: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the digests (16 hex digits) of all definitions that a program can reach, to name those that differ.

    Args:
        script: the program, in the folder that holds the project's packages.
        plugins: dotted names of the plug-in modules that the step's recipe names.

    Returns:
        by `scripts/FILE: NAME`, where NAME is `module level` for the statements that run at import; by the path alone
        for a file that is not a module.
    """
    return _find(script, plugins)["definitions"]


def find(script: Path, plugins: tuple[str, ...] = (), read: Callable[[Path], bytes] = Path.read_bytes) -> dict:
    """Find the `digest` and the `definitions` of a program in its sources, without the cache.

    Args:
        script: an absolute path.
        read: returns the content of a source file, which may differ from the file on disk.
    """
    reach = Reach(script, plugins, read)
    digests = {
        f"{reach.label(definition.path)}: {definition.name}": reach.local_digest(definition)
        for definition in reach.definitions
    }
    digests |= {reach.label(path): hashlib.sha256(read(path)).hexdigest()[:16] for path in reach.files}
    return {"digest": reach.digest(), "definitions": dict(sorted(digests.items()))}


def _find(script: Path, plugins: tuple[str, ...]) -> dict:
    script = script.resolve()
    cached, key = _read_cache(script.parent), " ".join([script.name, *plugins])
    if key not in cached["programs"]:
        cached["programs"][key] = find(script, plugins)
        # If the folder is read-only, each process finds them again.
        with suppress(OSError):
            io.write_atomically(script.parent / CACHE, json.dumps(cached))
    return cached["programs"][key]


@cache
def _read_cache(root: Path) -> dict:
    """Return the cached digests for the present content of a folder."""
    state = hashlib.sha256()
    for path in project_files(root):
        state.update(f"{path.relative_to(root)} {path.stat().st_size} ".encode())
        state.update(path.read_bytes())
    cached = io.find_json(root / CACHE) or {}
    return cached if cached.get("state") == state.hexdigest() else {"state": state.hexdigest(), "programs": {}}
