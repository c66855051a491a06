"""Shell commands of rules, in which Snakemake fills in files, wildcards and parameters.

Everything that a command needs stands in it: Snakemake's own `shell.prefix` would also be that of the rules of a
workflow that uses gridlaw.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from gridlaw.workflow.kind import Kind
from gridlaw.workflow.steps import option, program

# Variable of the environment: what runs programs instead of `python`, if it is set.
INTERPRETER = "GRIDLAW_PYTHON"


def shell_command(kind: Kind, values: Mapping[str, object], before: str = "") -> str:
    """Return the shell command of a rule.

    Args:
        kind: the kind of step that the rule makes.
        values: what the settings of its program are configured to, by the names in their texts.
        before: shell commands to run first.
    """
    options = kind.options(
        {name: [f"{{input.{name}:q}}"] for name in kind.reads},
        {name: f"{{output.{name}:q}}" for name in kind.writes},
        folder_of=lambda text: f'"$(dirname {text})"',
    )
    wildcards = "/".join(f"{{wildcards.{name}:q}}" for name in kind.wildcards)
    texts = {"values": wildcards, "run": f"{kind.name}/{wildcards}"}
    texts |= {name: literal(shlex.quote(str(value))) for name, value in values.items()}
    options |= {name: [fill(setting.shell, texts)] for name, setting in kind.settings.items() if setting.shell}
    # Logs are there to read while they run.
    environment = f"PYTHONUNBUFFERED=1 {kind.environment}".rstrip()
    python = f'"${{{{{INTERPRETER}:-python}}}}" {literal(shlex.quote(str(program(kind.name))))}'
    parts = [" ".join([option(name), *texts]) for name, texts in options.items()]
    return literal(before) + " ".join([environment, python, "--recipe {params.recipe:q}", *parts, "> {log:q} 2>&1"])


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the names in braces that are known filled in; the others are Snakemake's."""
    return re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], name[0]), text)


def literal(text: str) -> str:
    """Return a text in which Snakemake finds no names to fill in."""
    return text.replace("{", "{{").replace("}", "}}")
