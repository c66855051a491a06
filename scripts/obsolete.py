"""List what lies on disk for results that the grid has no more, and remove it if you say so.

    python scripts/obsolete.py
    python scripts/obsolete.py --remove

These are results, resources, work folders and TensorBoard files of models, sizes, gpus values, seeds, tasks, tokenizers
and corpora that the configuration does not name any more. With --remove it asks first, unless --yes is given. No links
are followed, and what a running process holds is left alone, as is what else you keep beside the workflow's folders.
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

from gridlaw import cli, console, work
from gridlaw.cli import Failure
from gridlaw.steps import FILES, RESOURCES, TRAININGS, WILDCARDS, Steps
from gridlaw.words import size

# Where each result has a folder, of which rules, and what tells such a folder from one of the user's.
PLACES = {
    "results": (set(WILDCARDS) - RESOURCES - set(FILES), "record.json"),
    "resources": (RESOURCES, "record.json"),
    "work": (set(TRAININGS), work.FINGERPRINT),
    "logs/tensorboard": (set(TRAININGS), "**/events.out.tfevents*"),
}


@dataclass(frozen=True)
class Place:
    """A folder of one result: its path, and the rule with its wildcards."""

    path: Path
    rule: str
    values: tuple[str, ...]

    @property
    def work(self) -> Path:
        """The work folder whose holder uses it."""
        return Path("work", self.rule, *self.values)


def main() -> None:
    parser = console.parser(__doc__, cells=False)
    parser.add_argument("--remove", action="store_true", help="remove what is listed")
    parser.add_argument("--yes", action="store_true", help="do not ask first")
    args = parser.parse_args()
    kept = {(step.rule, *step.wildcards.values()) for step in Steps(console.configuration(args, absent=True))}
    found = {place: occupied(place.path) for root in PLACES for place in obsolete(root, kept)}
    held = {place for place in found if is_held(place)}
    for line in listing(found, held, kept):
        print(line)
    free = [place for place in found if place not in held]
    if args.remove and free:
        if not args.yes and not confirmed(len(free)):
            raise Failure("nothing is removed")
        for place in free:
            remove(place)
        print(f"removed {size(sum(found[place] for place in free))}")


def obsolete(root: str, kept: set[tuple[str, ...]]) -> Iterator[Place]:
    """Folders in one of `PLACES` that belong to no result of the grid."""
    rules, sign = PLACES[root]
    if any(path.is_symlink() for path in (Path(root), *Path(root).parents)):
        print(f"{root} is a link; left alone", file=sys.stderr)
        return
    for rule in sorted(rules):
        for values in walk(Path(root, rule), len(WILDCARDS[rule])):
            place = Place(Path(root, rule, *values), rule, values)
            # What an adoption that was killed has left is of nobody either.
            if values[-1].startswith(".") or ((rule, *values) not in kept and any(place.path.glob(sign))):
                yield place


def walk(folder: Path, depth: int) -> Iterator[tuple[str, ...]]:
    """Folders at a depth below another, no links among them."""
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


def occupied(folder: Path) -> int:
    """Bytes of all files in a folder, links not followed."""
    return sum(file.lstat().st_size for file in folder.rglob("*"))


def is_held(place: Place) -> bool:
    """Whether a training or a Snakemake that runs is about to write there."""
    return (place.rule in TRAININGS and work.is_held(place.work)) or any(
        place.path in Path(file).parents for file in work.locked()
    )


def listing(found: dict[Place, int], held: set[Place], kept: set[tuple[str, ...]]) -> Iterator[str]:
    """A line for each model, task or corpus and kind of folder, and for each folder that is in use."""
    groups: dict[Path, list[Place]] = defaultdict(list)
    for place in found:
        whole = place.path.parents[len(place.values) - 2] if len(place.values) > 1 else place.path
        groups[place.path if place in held else whole].append(place)
    for path, places in groups.items():
        of = places[0]
        others = sum(key[:2] == (of.rule, of.values[0]) for key in kept)
        about = (
            "in use, left alone"
            if of in held
            else f"{len(places)} results of it, others are the grid's"
            if others
            else ""
        )
        yield f"{size(sum(found[place] for place in places)):>8}  {path}{f'  ({about})' if about else ''}"
    yield f"{size(sum(found.values())):>8}  in all" if found else "nothing is obsolete"


def confirmed(number: int) -> bool:
    """Whether the user wants folders to be removed."""
    if not sys.stdin.isatty():
        raise Failure("--remove: nobody is there to be asked; right would be --yes")
    return input(f"Remove these {number} folders? [y/N] ").strip().lower() in ("y", "yes")


def remove(place: Place) -> None:
    """Remove a folder, and those above it that are empty then."""
    with work.claimed(place.work) if place.rule in TRAININGS else nullcontext():
        shutil.rmtree(place.path)
    for above in list(place.path.parents)[: len(place.values)]:
        try:
            above.rmdir()
        except OSError:
            break


if __name__ == "__main__":
    cli.run(main)
