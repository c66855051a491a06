"""Write the report of a grid that is not finished: what can be said from what is there, what failed, what is missing.

    python scripts/so_far.py
    python scripts/so_far.py --configfile grids/novels.yaml --directory runs/novels

A run that fails does this by itself. The page takes the place of results/report.html until the grid is finished; while
Snakemake works in the folder it stays in results/so_far/, beside the tables and figures that it is made from. Give it
--configfile and --directory as you would give them to Snakemake.
"""

from __future__ import annotations

from gridlaw import cli, console, so_far, work


def main() -> None:
    args = console.parser(__doc__, cells=False).parse_args()
    command = console.command(args.configfile, args.directory)
    config = console.configuration(args, absent=True)
    print(so_far.write(config, command, publish=not work.locked()))


if __name__ == "__main__":
    cli.run(main)
