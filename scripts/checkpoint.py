"""Fetch the weights and tokenizer of a released checkpoint, from the hub at a revision, or from a local folder.

    python scripts/checkpoint.py --recipe checkpoint.json --folder checkpoint/ --manifest manifest.json --record
    record.json

Weights must be safetensors, because reading other formats can execute code. Code of a checkpoint is never executed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from gridlaw import cli, io
from gridlaw.config import user_files
from gridlaw.data import sources
from gridlaw.workflow import program, record


def main() -> None:
    args = program.parse("checkpoint", __doc__)

    name, folder = args.recipe["pretrained"], Path(args.folder)
    facts = {}
    if user_files.is_local(name):
        source = Path(name)
    else:
        facts["commit"] = sources.commit(name, args.recipe["revision"], "model")
        try:
            source = Path(snapshot_download(name, revision=facts["commit"], allow_patterns=user_files.CHECKPOINT))
        except (HfHubHTTPError, OSError) as error:
            raise cli.Failure(f"model {name}: {error}") from error
    content = [Path(file) for file in user_files.list_checkpoint(source)]
    if not any(file.suffix == ".safetensors" for file in content):
        raise cli.Failure(f"model {name}: no weights in safetensors; save it with transformers' save_pretrained")
    folder.mkdir(parents=True, exist_ok=True)
    for file in content:
        shutil.copyfile(file, folder / file.name)

    digests = {file.name: io.sha256(folder / file.name) for file in content}
    io.write_json(args.manifest, {**facts, "files": digests})
    record.write(args, inputs=user_files.find_checkpoint_files(name), **facts)


if __name__ == "__main__":
    cli.run(main)
