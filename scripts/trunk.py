"""Train the trunk (the shared WSD stem) to the point where a size branches off: warm-up, then a constant learning rate.

    python scripts/trunk.py --recipe trunk.json --tokenizer tokenizer/ --rows rows.bin --slice slice.json \
        [--trunk smaller/state/] --state state/ --manifest manifest.json --record record.json --work work/

All sizes of a model share the trunk. Each state continues the previous one, given with --trunk. A state contains the
weights, the optimizer and the random states, so that with the decay of `pretrain` it equals an uninterrupted run.
"""

from __future__ import annotations

import shutil
from argparse import Namespace
from pathlib import Path

from gridlaw import cli, io
from gridlaw.runtime import launch, work
from gridlaw.workflow import program, record


def main() -> None:
    args = program.parse("trunk", __doc__)
    work.attempt(args, args.recipe["gpus"], trunk)


def trunk(args: Namespace, fingerprint: str) -> None:
    """Train the trunk; every rank runs this."""
    # Imported here because the launcher of the ranks does not need these modules.
    with launch.loading():
        from gridlaw.runtime import measures
        from gridlaw.runtime.energy import Energy
        from gridlaw.training import checkpoints, devices, pretraining

    device = devices.prepare()
    model, _, tokenizer = pretraining.load_model(args)
    with Energy() as meter:
        trainer, plan = pretraining.train(model, tokenizer, args, fingerprint, until=lambda plan: plan.rate.decay_from)
    used = {"peak_memory_mb": measures.peak_memory_mb(), "energy": measures.energy_used(meter)}
    # Sizes that branch off at the same optimizer step share its state.
    start = Path(args.trunk) if args.trunk else None
    is_same = start and checkpoints.step(start) == trainer.state.global_step
    last = start if is_same else trainer.last_checkpoint()
    if launch.rank() == 0:
        with io.replaced_folder(args.state) as state:
            shutil.copytree(last, state, dirs_exist_ok=True)
            files = {name: io.sha256(state / name) for name in ("model.safetensors", "optimizer.pt")}
        io.write_json(args.manifest, {"step": trainer.state.global_step, "files": files})
        facts = pretraining.facts(trainer, plan, args, model) | used
        record.write(args, ranks=args.recipe["gpus"], device=device, **facts, **work.history(args.work))
    pretraining.finish()


if __name__ == "__main__":
    cli.run(main)
