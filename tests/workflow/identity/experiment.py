"""The small experiment that is changed: two models, one of them with a trunk, on a corpus and a task of the user's files."""

from __future__ import annotations

import copy
from pathlib import Path

import yaml
from conftest import ROOT
from snakemake.utils import update_config
from world import GRID, write_data

# A model that the grid may take up.
GAMMA = {"model_type": "bert", "shape": {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2}}


def configuration() -> dict:
    """The default configuration with the experiment's own values."""
    whole = yaml.safe_load((ROOT / "config.yaml").read_text())
    # This grid's own overrides alone.
    whole["pretrain"]["per_model"], whole["finetune"]["per_model"] = {}, {}
    update_config(whole, copy.deepcopy(GRID))
    whole["catalogue"]["models"]["gamma"] = copy.deepcopy(GAMMA)
    return whole


def write(folder: Path) -> None:
    """Write the experiment's configuration and the user's files into a folder."""
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration(), sort_keys=False))
    write_data(folder)
