"""The cluster that jobs are submitted to, as `profiles/slurm/site.yaml` describes it."""

from __future__ import annotations

from pathlib import Path

import yaml

from gridlaw.config import loading

SCHEMA = Path(loading.SCHEMA).with_name("site.schema.yaml")


def read(file: Path) -> dict:
    """Return the content of a site file, with defaults filled in.

    Raises:
        ValueError: the file is wrong; one line for each mistake.
    """
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        raise ValueError(f"site: {file} is missing; copy the one that comes with gridlaw, and edit it") from None
    schema = yaml.safe_load(SCHEMA.read_text())
    mistakes = [*loading.repeated_keys(file), *loading.mistakes(schema, content)]
    if mistakes:
        raise ValueError("\n".join(f"site: {line}" for line in mistakes))
    loading.fill(schema, schema, content)
    return content
