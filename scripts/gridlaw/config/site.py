"""The cluster that jobs are submitted to, as `profiles/slurm/site.yaml` describes it."""

from __future__ import annotations

from pathlib import Path

import yaml

from gridlaw.config import loading, schema
from gridlaw.config.messages import mistakes


def read(file: Path) -> dict:
    """Return the content of a site file, with defaults filled in.

    Raises:
        ValueError: the file is wrong; one line for each mistake.
    """
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        raise ValueError(f"site: {file} is missing; copy the one that comes with gridlaw, and edit it") from None
    root = schema.read(schema.SITE)
    lines = [*loading.repeated_keys(file), *mistakes(root, content)]
    if lines:
        raise ValueError("\n".join(f"site: {line}" for line in lines))
    schema.fill(root, root, content)
    return content
