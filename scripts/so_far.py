"""Write the report of an unfinished grid: answers from the results so far, and what failed or is missing.

    python scripts/so_far.py
    python scripts/so_far.py --configfile grids/novels.yaml --directory runs/novels

A failed run does this automatically. The page replaces results/report.html until the grid is finished; while Snakemake
is running in the folder, the page stays in results/so_far/, beside its tables and figures. Use the same --configfile
and --directory as with Snakemake.
"""

from __future__ import annotations

from gridlaw import cli
from gridlaw.views import console, partial_report
from gridlaw.workflow import work_folder


def main() -> None:
    args = console.parser(__doc__, cells=False).parse_args()
    command = console.command(args.configfile, args.directory)
    config = console.configuration(args, absent=True)
    print(partial_report.write(config, command, publish=not work_folder.locked_files()))


if __name__ == "__main__":
    cli.run(main)
