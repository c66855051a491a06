"""Show the progress of a running grid: finished cells and trainings, running trainings with their speed, time left.

    python scripts/progress.py
    python scripts/progress.py --follow

The program reads the grid's folder, from any machine that shares it, and needs neither Snakemake nor Slurm. Use the
same --configfile and --directory as with Snakemake. A killed training is not shown as running.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from gridlaw import cli
from gridlaw.views import console
from gridlaw.views.grid_progress import Progress
from gridlaw.views.reporter import Reporter
from gridlaw.views.terminal import Terminal

# Time between two updates on a terminal.
PERIOD_SECONDS = 5.0


def main() -> None:
    parser = console.parser(__doc__, cells=False)
    parser.add_argument("--follow", action="store_true", help="keep updating until the grid is done")
    args = parser.parse_args()
    progress = Progress(console.configuration(args, absent=True))
    progress.look()
    shown = progress.lines(Terminal.from_stream(sys.stdout))
    print(*shown, sep="\n", flush=True)
    if args.follow:
        with suppress(KeyboardInterrupt):
            follow(progress, shown)


def follow(progress: Progress, shown: list[str]) -> None:
    """Update the shown progress in place until the grid is done; in a file, write a line from time to time."""
    if not sys.stdout.isatty():
        Reporter(lambda text: print(text, flush=True), sys.stdout).run(lambda: progress)
        return
    while not progress.is_over:
        time.sleep(PERIOD_SECONDS)
        # Files appear and disappear meanwhile.
        with suppress(OSError):
            progress.look()
        lines = progress.lines(Terminal.from_stream(sys.stdout))
        # Move up to the first line and clear everything below (ECMA-48).
        print(f"\033[{len(shown)}F\033[J", "\n".join(lines), sep="", flush=True)
        shown = lines


if __name__ == "__main__":
    cli.run(main)
