"""Identity of a program: a digest of what it computes with, which rules carry as their parameter `code`.

Snakemake does not see the modules that a script imports, and a fresh clone's time stamps would re-run everything. The
digest is over the definitions that a program can reach (`reach`), without comments, docstrings and messages. It does
not depend on where these definitions lie, nor on modules that no result depends on, nor on plug-ins that the step's
recipe does not name.
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

# Finding the definitions takes longer than all the rest of a program's start, so that they are kept.
MEMORY = Path(COMPILED, "definitions.json")


@cache
def digest(script: Path, plugins: tuple[str, ...] = ()) -> str:
    """Identity of a program (16 hex digits).

    Args:
        script: the program, in the folder that holds the project's packages.
        plugins: dotted names of the plug-in modules that the step's recipe names.
    """
    return _find(script, plugins)["digest"]


@cache
def definitions(script: Path, plugins: tuple[str, ...] = ()) -> dict[str, str]:
    """Digests (16 hex digits) of all definitions that a program can reach, to name those that differ.

    Args:
        script: the program, in the folder that holds the project's packages.
        plugins: dotted names of the plug-in modules that the step's recipe names.

    Returns:
        by `scripts/FILE: NAME`; what runs when a module is imported is its `module level`, and a file that is no module
        stands by its path alone.
    """
    return _find(script, plugins)["definitions"]


def find(script: Path, plugins: tuple[str, ...] = (), read: Callable[[Path], bytes] = Path.read_bytes) -> dict:
    """Find the `digest` and the `definitions` of a program in its sources, without remembering them.

    Args:
        script: an absolute path.
        read: gives the content of a source file, which may differ from what is on disk.
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
    memory, key = _recall(script.parent), " ".join([script.name, *plugins])
    if key not in memory["programs"]:
        memory["programs"][key] = find(script, plugins)
        # Where nothing can be written, each process finds them again.
        with suppress(OSError):
            io.write_atomically(script.parent / MEMORY, json.dumps(memory))
    return memory["programs"][key]


@cache
def _recall(root: Path) -> dict:
    """What was found before for the files of a folder as they are now."""
    state = hashlib.sha256()
    for path in project_files(root):
        state.update(f"{path.relative_to(root)} {path.stat().st_size} ".encode())
        state.update(path.read_bytes())
    memory = io.find_json(root / MEMORY) or {}
    return memory if memory.get("state") == state.hexdigest() else {"state": state.hexdigest(), "programs": {}}
