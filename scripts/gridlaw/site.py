"""The cluster that jobs are submitted to: what `profiles/slurm/site.yaml` says of it."""

from __future__ import annotations

from pathlib import Path

import yaml

from gridlaw import config

SCHEMA = Path(config.SCHEMA).with_name("site.schema.yaml")


def read(file: Path) -> dict:
    """What a site file says, with the defaults of what it leaves out.

    Raises:
        ValueError: something is wrong; one line for each mistake.
    """
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        raise ValueError(f"site: {file} is missing; right would be the one that comes with gridlaw, edited") from None
    schema = yaml.safe_load(SCHEMA.read_text())
    mistakes = [*config.repeated_keys(file), *config.mistakes(schema, content)]
    if mistakes:
        raise ValueError("\n".join(f"site: {line}" for line in mistakes))
    config.fill(schema, schema, content)
    return content
