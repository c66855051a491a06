"""Pre-train one cell's model on a slice of the corpus with masked language modelling, and measure its held-out loss.

    python scripts/pretrain.py --recipe pretrain.json --tokenizer tokenizer/ --rows rows.bin --slice slice.json \
        --held-out-rows held_out.bin --pack manifest.json --model model/ --manifest manifest.json --record record.json \
        --work work/

The number of ranks is the recipe's `gpus`: a rank is one GPU, or one CPU thread on a machine without a GPU. Without a
slice nothing is trained: the model keeps its initial weights, or those of the released checkpoint that --tokenizer
names. With --trunk the run continues from the trunk's state. The model's folder, which includes the tokenizer, can be
loaded with transformers' `from_pretrained`. After a kill, the same command resumes, and the final weights equal those
of an uninterrupted run.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from gridlaw import cli, io
from gridlaw.runtime import launch, work
from gridlaw.workflow import program, record

# Facts in the record of a run at size 0.
NOTHING_TRAINED = dict.fromkeys(
    ("size_tokens", "corpus_tokens", "trained_tokens", "steps", "steps_here", "tokens_here", "train_seconds"), 0
)


def main() -> None:
    args = program.parse("pretrain", __doc__)
    ranks = args.recipe["gpus"] if args.slice else 1
    work.attempt(args, ranks, lambda args, fingerprint: pretrain(args, fingerprint, ranks))


def pretrain(args: Namespace, fingerprint: str, ranks: int) -> None:
    """Train and evaluate the model; every rank runs this."""
    # Imported here because the launcher of the ranks does not need these modules.
    with launch.loading():
        from gridlaw.data import rows
        from gridlaw.models import modeling
        from gridlaw.runtime import callbacks, measures
        from gridlaw.runtime.energy import Energy
        from gridlaw.training import devices, pretraining

    device = devices.prepare()
    model, has_head, tokenizer = pretraining.load_model(args)
    facts = {"ranks": ranks, "device": device, **modeling.parameters(model)}
    pack = io.read_json(args.pack) if args.pack else None
    held_out = pack and rows.Slice(args.held_out_rows, {**pack, "end": pack["held_out"]["end"]})

    def measure() -> dict[str, float]:
        return pretraining.held_out_loss(model, tokenizer, args.recipe, held_out)

    with Energy() as meter:
        if args.slice:
            trainer, plan = pretraining.train(
                model, tokenizer, args, fingerprint, until=lambda plan: plan.steps, measure=measure
            )
            facts |= pretraining.facts(trainer, plan, args, model)
        else:
            model.to(devices.device())
            facts |= NOTHING_TRAINED
        if held_out and (args.slice or has_head):
            losses = measure()
            if args.slice:
                callbacks.log_held_out(trainer, losses)
            facts |= losses
            unigram = pack["held_out"]["unigram_loss"]
            has_learned = facts["held_out_loss"] < unigram - pretraining.UNIGRAM_MARGIN
            facts |= {"unigram_loss": unigram, "trained": has_learned if args.slice else None}
    facts |= {"peak_memory_mb": measures.peak_memory_mb(), "energy": measures.energy_used(meter)}

    if launch.rank() == 0:
        save(model, tokenizer, args)
        record.write(args, **facts, **work.history(args.work))
    pretraining.finish()


def save(model, tokenizer, args: Namespace) -> None:
    """Write the model's folder and manifest."""
    from gridlaw.models import saving

    with io.replaced_folder(args.model) as folder:
        if args.recipe["model"]:
            saving.save(model, tokenizer, folder)
        elif args.slice:
            saving.save_trained(model, Path(args.tokenizer), folder)
        else:
            saving.copy_released(Path(args.tokenizer), folder)
        digests = {file.name: io.sha256(file) for file in sorted(folder.iterdir())}
    io.write_json(args.manifest, {"files": digests})


if __name__ == "__main__":
    cli.run(main)
