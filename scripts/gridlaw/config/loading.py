"""Loading and validating the configuration: each mistake is one line with the key, what is wrong, what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from gridlaw.canonical_json import normal
from gridlaw.config import schema, user_files
from gridlaw.config.checks import MissingFile, Packed, contradictions, unknown
from gridlaw.config.messages import mistakes


def load(overlays: Iterable[str | Path], absent: bool = False, packed: Packed = unknown) -> dict:
    """Return the completed configuration, as Snakemake would read it in the working directory.

    Args:
        overlays: files given with `--configfile`.
        absent, packed: see `complete`.

    Raises:
        ValueError: the configuration is wrong; one line for each mistake.
    """
    # Imported here because help and jobs do not need it.
    from snakemake.utils import update_config

    base = Path("config.yaml")
    files = [base if base.exists() else schema.FOLDER.parent / base, *map(Path, overlays)]
    config: dict = {}
    for file in files:
        try:
            update_config(config, yaml.safe_load(file.read_text()) or {})
        except (OSError, yaml.YAMLError, AttributeError) as error:
            raise ValueError(f"config: {file} cannot be read: {' '.join(str(error).split())}") from error
    return complete(config, files, absent, packed)


def complete(
    config: dict,
    files: Iterable[str | Path] = (),
    absent: bool = False,
    packed: Packed = unknown,
) -> dict:
    """Return the configuration with the schema's defaults filled in and numbers in their normal form.

    Args:
        config: what Snakemake read from the files and `--config`.
        files: the configuration files, to find duplicate keys in (YAML silently keeps the last one).
        absent: allow the user's files to be missing, as they are in an archive of results.
        packed: returns the training tokens of the corpus if they are known; otherwise they are estimated.

    Raises:
        ValueError: the configuration is wrong; one line for each mistake.
    """
    root = schema.read(schema.CONFIG)
    lines = [line for file in files for line in repeated_keys(Path(file))]
    lines += mistakes(root, config)
    if not lines:
        config = normal(config)
        schema.fill(root, root, config)
        for model in config["catalogue"]["models"].values():
            if "pretrained" in model:
                model["pretrained"] = user_files.name_checkpoint(model["pretrained"])
        lines = [line for line in contradictions(config, packed) if not (absent and isinstance(line, MissingFile))]
    if lines:
        raise ValueError("\n".join(f"config: {line}" for line in dict.fromkeys(lines)))
    return config


def repeated_keys(file: Path) -> list[str]:
    """Return a line for each key that appears twice in one mapping of a YAML file."""
    repeated = []

    def mapping(loader: schema.LOADER, node: yaml.MappingNode) -> dict:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:str" and key.value in seen:
                repeated.append(
                    f"{key.value}: appears twice in one mapping of {file} (line {key.start_mark.line + 1}); keep one"
                )
            seen.add(key.value)
        return schema.LOADER.construct_mapping(loader, node, deep=True)

    loader = type("StrictLoader", (schema.LOADER,), {})
    loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    yaml.load(file.read_text(), Loader=loader)
    return repeated
