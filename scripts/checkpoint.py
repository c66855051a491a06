"""Fetch the weights and tokenizer of a released checkpoint, from the hub at a revision, or from a local folder.

    python scripts/checkpoint.py --recipe checkpoint.json --folder checkpoint/ --manifest manifest.json --record
    record.json

Weights must be safetensors, because reading other formats can execute code. Code of a checkpoint is never executed.
Whatever is wrong with its files ends the program, before anything is trained.
"""

from __future__ import annotations

import json
import shutil
from itertools import chain
from pathlib import Path

from gridlaw import cli, io
from gridlaw.config import user_files
from gridlaw.models import released
from gridlaw.workflow import program, record


def main() -> None:
    args = program.parse("checkpoint", __doc__)

    name, model, facts = args.recipe["pretrained"], Path(args.folder).name, {}
    key = f"catalogue.models.{model}.pretrained"
    if user_files.is_local(name):
        source = Path(name)
    else:
        facts["commit"], source = fetch(name, args.recipe["revision"], key)
    lengths = json.loads(args.lengths).get(model, {})
    for line in chain(released.problems(source, name), released.misfits(source, name, lengths)):
        raise cli.Failure(f"{key}: {line}")
    with io.replaced_folder(args.folder) as folder:
        for file in released.list_files(source):
            shutil.copyfile(source / file, folder / file)
        digests = {file.name: io.sha256(file) for file in sorted(folder.iterdir())}
    io.write_json(args.manifest, {**facts, "files": digests})
    record.write(args, inputs=user_files.find_checkpoint_files(name), **facts)


def fetch(name: str, revision: str, key: str) -> tuple[str, Path]:
    """Fetch a checkpoint from the hub; return its commit, and a folder with its files."""
    from gridlaw.data import hub

    commit = hub.commit(name, revision, "model", key)
    folder = hub.fetch_files(
        name, commit, (released.CONFIG, released.WEIGHTS, released.INDEX, *released.TOKENIZER), key
    )
    # Only a checkpoint without the single file is read from its shards.
    if shards := set(released.list_weights(folder)) - {released.WEIGHTS}:
        folder = hub.fetch_files(name, commit, shards, key)
    return commit, folder


if __name__ == "__main__":
    cli.run(main)
