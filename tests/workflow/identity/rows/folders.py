"""Changes of the folder of results: copied elsewhere, with or without time stamps, with parts deleted."""

from __future__ import annotations

import os
import random
import shutil
import time

from ..home import FOLDERS, Home
from . import Change, Rows, together
from .keys import setting

ROWS = Rows()
row = ROWS.enter


def moving(scrambled: bool = False, provenance: bool = True) -> Change:
    """Copy everything to another folder.

    Args:
        scrambled: whether files get random time stamps, as from an archive or a plain copy.
        provenance: whether `.snakemake` comes along.
    """

    def change(home: Home) -> None:
        for name in FOLDERS:
            home.own(name)
        if not provenance:
            shutil.rmtree(home.folder / ".snakemake")
        if scrambled:
            dice, now = random.Random(1), time.time()
            for path in sorted(home.folder.rglob("*")):
                os.utime(path, (now, now - dice.randrange(10**6)), follow_symlinks=False)

    return change


def deleting(*patterns: str) -> Change:
    """Delete files and folders of the run."""

    def change(home: Home) -> None:
        for name in {pattern.partition("/")[0] for pattern in patterns}:
            home.own(name)
        found = [path for pattern in patterns for path in home.folder.glob(pattern)]
        assert found
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


LEARN = setting("pretrain.per_model.alpha.learning_rate", 5.0e-3)
TOUCHED = "pretrain alpha 2k *"
WITHOUT = moving(provenance=False)
WITHOUT_AND_SCRAMBLED = moving(provenance=False, scrambled=True)

row("moved", moving())
row("moved, mtimes scrambled", moving(scrambled=True))
row("moved, mtimes scrambled, and a change", together(moving(scrambled=True), LEARN), TOUCHED)
row("moved without .snakemake", WITHOUT)
row("moved without .snakemake, mtimes scrambled", WITHOUT_AND_SCRAMBLED)
row("moved without .snakemake, and a change", together(WITHOUT, LEARN), TOUCHED)
row("moved without .snakemake, mtimes scrambled, and a change", together(WITHOUT_AND_SCRAMBLED, LEARN), TOUCHED)

row("deleted: rows", deleting("resources/pack/*/*/*.bin"))
row("deleted: all that was fetched or packed", deleting("resources/*"))
row("deleted: models", deleting("results/pretrain/*/*/*/*/model"))
row("deleted: a trunk's states", deleting("results/trunk/*/*/*/*/state"))
row("deleted: predictions", deleting("results/finetune/*/*/*/*/*/predictions.parquet"))
# What is made again could be another: rows are made for the new size, and those that read the old ones come after.
row(
    "deleted: rows, and one more size",
    together(deleting("resources/pack/*/*/*.bin"), setting("sizes", [0, "2k", "3k", "4k"])),
    "pack *",
)
row("deleted: work", deleting("work"))
row("deleted: logs", deleting("logs"))
row("deleted: a figure", deleting("results/figures/loss.png"), "figure_loss")
row("deleted: a table", deleting("results/runs.csv"), "aggregate")
