"""Changes of the repository."""

from __future__ import annotations

import yaml

from ..home import Home
from . import Change, Rows

ROWS = Rows()
row = ROWS.enter


def adding(file: str, text: str) -> Change:
    """Add text to the end of a file of the repository."""

    def change(home: Home) -> None:
        path = home.clone() / file
        path.write_text(f"{path.read_text()}\n{text}\n")

    return change


def replacing(file: str, old: str, new: str) -> Change:
    """Replace text in a file of the repository."""

    def change(home: Home) -> None:
        path = home.clone() / file
        text = path.read_text()
        assert old in text, f"{old} is not in {file}"
        path.write_text(text.replace(old, new))

    return change


def commenting_everything(home: Home) -> None:
    """Begin every file that decides what is run with a comment, and describe every key of the schema in other words."""
    clone = home.clone()
    patterns = ("Snakefile", "rules/*.smk", "envs/*.yaml", "profiles/*/*.yaml", "scripts/**/*.py")
    for path in {path for pattern in patterns for path in clone.glob(pattern)}:
        path.write_text(f"# A comment.\n{path.read_text()}")
    schema = clone / "schemas/config.schema.yaml"
    schema.write_text(yaml.safe_dump(_redescribed(yaml.safe_load(schema.read_text())), sort_keys=False))


def _redescribed(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: "other words" if key == "description" and isinstance(item, str) else _redescribed(item)
            for key, item in value.items()
        }
    return [_redescribed(item) for item in value] if isinstance(value, list) else value


# Which programs an edit reaches is tested with `gridlaw.workflow.identity` alone; here, that Snakemake hears of it.
row("a new clone with other comments", commenting_everything)
row("a function of fine-tuning", adding("scripts/gridlaw/models/modeling.py", "classifier = classifier"), "finetune *")
# A command supervises its program.
row("a command", replacing("scripts/gridlaw/hooks/commands.py", "PYTHONUNBUFFERED=1", "PYTHONUNBUFFERED=2"))
