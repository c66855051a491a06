"""List the files of results that are no longer in the grid, and remove them on request.

    python scripts/obsolete.py
    python scripts/obsolete.py --remove

These are results, resources, work folders and TensorBoard files of models, sizes, gpus values, seeds, tasks, tokenizers
and corpora that the configuration no longer names. With --remove the program asks first, unless --yes is given. It does
not follow links, and leaves alone the folders of running processes, and files that are not the workflow's.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from gridlaw import cli
from gridlaw.cli import Failure
from gridlaw.views import console
from gridlaw.words import size
from gridlaw.workflow import work_folder
from gridlaw.workflow.steps import KINDS, TRAININGS, Steps

# Top folders; the rules whose results have a folder there; and a file that shows that such a folder is not the user's.
PLACES = {
    top: (
        {kind.name for kind in KINDS.values() if not kind.single and kind.folder.startswith(f"{top}/")},
        "record.json",
    )
    for top in ("results", "resources")
} | {
    "work": (set(TRAININGS), work_folder.FINGERPRINT),
    "logs/tensorboard": (set(TRAININGS), "**/events.out.tfevents*"),
}


@dataclass(frozen=True)
class Place:
    """A folder of one result: its path, its rule, and the values of the rule's wildcards."""

    path: Path
    rule: str
    values: tuple[str, ...]

    @property
    def work(self) -> Path:
        """The work folder; a process that holds it uses this folder too."""
        return Path("work", self.rule, *self.values)


def main() -> None:
    parser = console.parser(__doc__, cells=False)
    parser.add_argument("--remove", action="store_true", help="remove what is listed")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    args = parser.parse_args()
    kept = {(step.rule, *step.wildcards.values()) for step in Steps(console.configuration(args, absent=True))}
    sizes = {place: count_bytes(place.path) for root in PLACES for place in find_obsolete(root, kept)}
    held = {place for place in sizes if is_held(place)}
    for line in listing(sizes, held, kept):
        print(line)
    free = [place for place in sizes if place not in held]
    if args.remove and free:
        if not args.yes and not confirm(len(free)):
            raise Failure("nothing was removed")
        for place in free:
            remove(place)
        print(f"removed {size(sum(sizes[place] for place in free))}")


def find_obsolete(root: str, kept: set[tuple[str, ...]]) -> Iterator[Place]:
    """Yield the folders, in one of `PLACES`, that belong to no result of the grid."""
    rules, sign = PLACES[root]
    if any(path.is_symlink() for path in (Path(root), *Path(root).parents)):
        print(f"{root} is a link; left alone", file=sys.stderr)
        return
    for rule in sorted(rules):
        for values in walk(Path(root, rule), len(KINDS[rule].wildcards)):
            place = Place(Path(root, rule, *values), rule, values)
            # A name with a dot is a left-over of a killed adoption.
            if values[-1].startswith(".") or ((rule, *values) not in kept and any(place.path.glob(sign))):
                yield place


def walk(folder: Path, depth: int) -> Iterator[tuple[str, ...]]:
    """Yield the folders at a depth below another one, as path parts; links are skipped."""
    if depth == 0:
        yield ()
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from ((entry.name, *rest) for rest in walk(Path(entry.path), depth - 1))


def count_bytes(folder: Path) -> int:
    """Return the bytes of all files in a folder; links are not followed."""
    return sum(file.lstat().st_size for file in folder.rglob("*"))


def is_held(place: Place) -> bool:
    """Return whether a running training or Snakemake may write to a folder."""
    return (place.rule in TRAININGS and work_folder.is_held(place.work)) or any(
        place.path in Path(file).parents for file in work_folder.locked_files()
    )


def listing(sizes: dict[Place, int], held: set[Place], kept: set[tuple[str, ...]]) -> Iterator[str]:
    """Yield a line for each model, task or corpus and kind of folder, and for each folder in use."""
    groups: dict[Path, list[Place]] = defaultdict(list)
    for place in sizes:
        parent = place.path.parents[len(place.values) - 2] if len(place.values) > 1 else place.path
        groups[place.path if place in held else parent].append(place)
    for path, places in groups.items():
        first = places[0]
        others = sum(key[:2] == (first.rule, first.values[0]) for key in kept)
        note = ""
        if first in held:
            note = "  (in use, left alone)"
        elif others:
            note = f"  ({len(places)} results in it; others there are still in the grid)"
        yield f"{size(sum(sizes[place] for place in places)):>8}  {path}{note}"
    yield f"{size(sum(sizes.values())):>8}  in total" if sizes else "nothing is obsolete"


def confirm(number: int) -> bool:
    """Ask the user whether to remove folders, and return the answer."""
    if not sys.stdin.isatty():
        raise Failure("--remove: cannot ask for confirmation, because there is no terminal; add --yes")
    return input(f"Remove these {number} folders? [y/N] ").strip().lower() in ("y", "yes")


def remove(place: Place) -> None:
    """Remove a folder, and the folders above it that are then empty."""
    with work_folder.claim(place.work) if place.rule in TRAININGS else nullcontext():
        shutil.rmtree(place.path)
    for parent in list(place.path.parents)[: len(place.values)]:
        try:
            parent.rmdir()
        except OSError:
            break


if __name__ == "__main__":
    cli.run(main)
