"""Say how far a grid is that runs: cells and trainings that are done, what trains now and how fast, when it will end.

    python scripts/progress.py
    python scripts/progress.py --follow

It looks at the grid's folder, from any machine that sees it, and asks neither Snakemake nor Slurm; give it --configfile
and --directory as you gave them to Snakemake. A training that was killed is not shown as one that runs.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from gridlaw import cli, console
from gridlaw.progress import Progress
from gridlaw.reporter import Reporter
from gridlaw.terminal import Terminal

# Between two looks on a terminal.
PERIOD_SECONDS = 5.0


def main() -> None:
    parser = console.parser(__doc__, cells=False)
    parser.add_argument("--follow", action="store_true", help="go on until all is done")
    args = parser.parse_args()
    progress = Progress(console.configuration(args, absent=True))
    progress.look()
    shown = progress.lines(Terminal.from_stream(sys.stdout))
    print(*shown, sep="\n", flush=True)
    if args.follow:
        with suppress(KeyboardInterrupt):
            follow(progress, shown)


def follow(progress: Progress, shown: list[str]) -> None:
    """Show a grid in the place of what is shown of it, until it is done; in a file now and then in a line."""
    if not sys.stdout.isatty():
        Reporter(lambda text: print(text, flush=True), sys.stdout).run(lambda: progress)
        return
    while not progress.is_over:
        time.sleep(PERIOD_SECONDS)
        # Files come and go while it looks at them.
        with suppress(OSError):
            progress.look()
        lines = progress.lines(Terminal.from_stream(sys.stdout))
        # Up to the first line, and everything from there on away (ECMA-48).
        print(f"\033[{len(shown)}F\033[J", "\n".join(lines), sep="", flush=True)
        shown = lines


if __name__ == "__main__":
    cli.run(main)
