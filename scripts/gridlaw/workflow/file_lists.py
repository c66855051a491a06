"""Lists of the user's files: programs get a text file with a name on each line, for a command line cannot hold many.

Snakemake gets the list as input too. It would look at each of 60,000 files, and take braces in a name for a wildcard;
the digest in the recipe stands for their content.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gridlaw import io
from gridlaw.cli import Failure
from gridlaw.workflow.kind import Kind

# Lists, by step and input; they are written again when they are needed.
FOLDER = Path(".snakemake/gridlaw/lists")


def replace(kind: Kind, values: Sequence[str], files: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the files of each input of a step with a list, which is written, in the place of files of the user.

    Args:
        values: values of the step's wildcards.
        files: files of each input.
    """
    listed = {name: files[name] for name, source in kind.reads.items() if source.listed}
    lists = {name: FOLDER.joinpath(kind.name, *values, f"{name}.txt") for name, names in listed.items() if names}
    for name, file in lists.items():
        write(file, listed[name])
    # A program without the option finds the files itself.
    given = {name: [str(lists[name])] if name in lists and kind.reads[name].passed else [] for name in listed}
    return files | given


def write(file: Path, names: Sequence[str]) -> None:
    """Write a list of files, unless it is there already."""
    content = "".join(f"{name}\n" for name in names).encode()
    with suppress(OSError):
        if file.read_bytes() == content:
            return
    io.write_atomically(file, content)


def read(file: str) -> list[str]:
    """Return the files on a list.

    Raises:
        Failure: the list cannot be read, or a line of it is no file.
    """
    try:
        names = Path(file).read_bytes().decode().removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file}: {error}; expected a text file with the name of a file on each line") from error
    for number, name in enumerate(names, 1):
        if not Path(name).is_file():
            raise Failure(f"{file}: line {number} is no file: {name[:200]!r}; expected the name of a file on each line")
    return names
