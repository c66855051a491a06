"""Pre-train one cell's model on a slice of the corpus with masked language modelling, and measure its held-out loss.

    python scripts/pretrain.py --recipe pretrain.json --tokenizer tokenizer/ --rows rows.bin --slice slice.json \
        --held-out-rows held_out.bin --pack manifest.json --model model/ --manifest manifest.json --record record.json

The number of ranks is the recipe's `gpus`: a rank is a GPU, or one CPU thread on a machine without. Without a slice
nothing is trained: the model keeps its random weights, or those of the released checkpoint given with --checkpoint.
The model's folder loads with transformers' `from_pretrained`, tokenizer included.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader
from transformers import Trainer, set_seed

from gridlaw import cli, devices, masking, modeling, objective, record, rows, training

# The held-out text is hidden in the same way for every model and every seed.
HELD_OUT_SEED = 0

# Facts of a run at size 0.
NOTHING_TRAINED = {
    "size_tokens": 0,
    "tokens": 0,
    "steps": 0,
    "final_loss": None,
    "tokens_per_second": None,
    "tokens_per_second_low": None,
    "tokens_per_second_high": None,
    "train_seconds": 0,
}


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--tokenizer", required=True, help="folder of the model's tokenizer")
    parser.add_argument("--checkpoint", help="folder of a released checkpoint to start from")
    parser.add_argument("--rows", help="rows of token ids")
    parser.add_argument("--slice", help="manifest of the slice to train on, JSON")
    parser.add_argument("--held-out-rows", help="held-out rows of token ids")
    parser.add_argument("--pack", help="manifest of the rows, JSON")
    parser.add_argument("--inputs", nargs="*", default=[], help="further manifests that the record names as inputs")
    parser.add_argument("--model", required=True, help="folder to write")
    parser.add_argument("--manifest", required=True, help="what the model is, JSON to write")
    parser.add_argument("--record", required=True, help="how it came about, JSON to write")
    parser.add_argument("--tensorboard", help="folder for TensorBoard's files")
    args = parser.parse_args()
    recipe = args.recipe
    ranks = recipe["gpus"] if args.slice else 1
    devices.launch(ranks)
    device = devices.prepare()

    set_seed(recipe["seed"])
    tokenizer = modeling.tokenizer(args.tokenizer)
    if args.checkpoint:
        model, has_head = modeling.released_masked_lm(args.checkpoint, recipe["dropout"])
    else:
        model, has_head = modeling.masked_lm(recipe["model"], tokenizer, recipe["dropout"]), True
    facts = {"ranks": ranks, "device": device, **modeling.parameters(model)}

    held_out = None
    if args.held_out_rows and (args.slice or has_head):
        pack = record.read_json(args.pack)
        held_out = rows.Slice(args.held_out_rows, {**pack, "end": pack["held_out"]["end"]})
    with tempfile.TemporaryDirectory(prefix="gridlaw-") as scratch:
        if args.slice:
            facts |= train(model, tokenizer, recipe, ranks, args, held_out, scratch)
        elif held_out:
            facts |= {**NOTHING_TRAINED, **loss_on(model.to(_device()), tokenizer, recipe, held_out)}
        else:
            facts |= {**NOTHING_TRAINED, "held_out_loss": None, "held_out_loss_se": None}
    facts["peak_memory_mb"] = round(total_over_ranks(training.peak_memory_mb()), 1)

    if devices.rank() == 0:
        save(model, tokenizer, args, facts)
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


class Pretrainer(Trainer):
    """Trainer that measures the held-out loss over tokens, not over batches."""

    def __init__(self, *args, measure, **kwargs):
        super().__init__(*args, **kwargs)
        self.measure, self.measured, self.measured_at = measure, {}, -1

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        """Measure, log and tell the callbacks, as Trainer's own evaluation does."""
        self.measured, self.measured_at = self.measure(), self.state.global_step
        metrics = {f"eval_{name}": value for name, value in self.measured.items()}
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def train(model, tokenizer, recipe: dict, ranks: int, args, held_out: rows.Slice, scratch: str) -> dict:
    """Train the model in place.

    Returns:
        facts for the record.
    """
    text = rows.open_slice(args.rows, args.slice)
    size = record.read_json(args.slice)
    batch = recipe["batch_size"] * (ranks if recipe["scaling"] == "weak" else 1)
    steps = recipe["passes"] * len(text) // batch
    if not steps:
        raise cli.Failure(
            f"pretrain.batch_size: {batch} rows is more than the {len(text)} rows of the slice; right would be fewer"
        )
    masker = masking.Masker(tokenizer, recipe["mask_rate"], recipe["seed"])
    trainer = Pretrainer(
        model=objective.PredictMasked(model),
        args=training.arguments(
            recipe | {"batch_size": batch},
            steps,
            ranks,
            scratch,
            seed=recipe["seed"],
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            eval_strategy="steps",
            eval_steps=math.ceil(steps / recipe["evaluations"]),
            report_to=training.log_to_tensorboard(args.tensorboard if devices.rank() == 0 else None),
        ),
        train_dataset=masking.MaskedRows(text, masker, recipe["seed"], steps * batch),
        eval_dataset=held_out,
        measure=lambda: loss_on(model, tokenizer, recipe, held_out),
    )
    times = training.StepTimes()
    trainer.add_callback(times)
    seconds = trainer.train().metrics["train_runtime"]
    if trainer.state.global_step != steps:
        raise cli.Failure(f"stopped after {trainer.state.global_step} of {steps} updates")
    if trainer.measured_at != steps:
        trainer.evaluate()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    tokens = size["tokens"] * steps * batch / len(text)
    return {
        "size_tokens": size["size_tokens"],
        "unique_tokens": size["tokens"],
        "tokens": round(tokens),
        "steps": steps,
        "batch_rows": batch,
        "final_loss": sum(losses[-5:]) / len(losses[-5:]),
        **trainer.measured,
        **times.throughput(tokens / steps),
        "train_seconds": round(seconds, 3),
    }


@torch.no_grad()
def loss_on(model, tokenizer, recipe: dict, held_out: rows.Slice) -> dict[str, float]:
    """Held-out loss over all predicted tokens, in nats, and its standard error over rows; every rank does its share."""
    masker = masking.Masker(tokenizer, recipe["mask_rate"], HELD_OUT_SEED)
    examples = masking.MaskedRows(held_out, masker, HELD_OUT_SEED, len(held_out))
    ranks = dist.get_world_size() if dist.is_initialized() else 1
    mine = torch.utils.data.Subset(examples, range(devices.rank() if ranks > 1 else 0, len(examples), ranks))
    device, was_training = next(model.parameters()).device, model.training
    predict = objective.PredictMasked(model).eval()
    # A rank may have no row: there can be more ranks than rows.
    per_row = [torch.zeros(2, 0, dtype=torch.float64, device=device)]
    with torch.autocast(device.type, torch.bfloat16, enabled=devices.bf16(recipe["precision"])):
        for batch in DataLoader(mine, batch_size=recipe["device_batch_size"]):
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            losses = predict.losses(**batch).double()
            counts = (batch["labels"] != masking.IGNORED).sum(1)
            row = torch.repeat_interleave(torch.arange(len(counts), device=device), counts)
            sums = torch.zeros(len(counts), dtype=losses.dtype, device=device).index_add_(0, row, losses)
            per_row.append(torch.stack([sums, counts.double()]))
    model.train(was_training)
    sums, counts = torch.cat(per_row, 1)
    # Standard error of a ratio of means over rows: residuals of the row sums around loss times count.
    moments = torch.stack(
        [sums.sum(), counts.sum(), (sums * sums).sum(), (sums * counts).sum(), (counts * counts).sum()]
    )
    if ranks > 1:
        dist.all_reduce(moments)
    total, count, squares, cross, count_squares = moments.tolist()
    mean = total / count
    variance = max(0.0, squares - 2 * mean * cross + mean * mean * count_squares)
    return {"held_out_loss": mean, "held_out_loss_se": math.sqrt(variance) / count}


def total_over_ranks(value: float) -> float:
    """Sum of a number over all ranks."""
    if not dist.is_initialized():
        return value
    tensor = torch.tensor(value, device=_device())
    dist.all_reduce(tensor)
    return tensor.item()


def _device() -> torch.device:
    cuda = torch.cuda.is_available()
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if cuda else torch.device("cpu")


def save(model, tokenizer, args, facts: dict) -> None:
    """Write the model's folder, its manifest and the run's record."""
    folder = Path(args.model)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    files = sorted(file for file in folder.iterdir() if file.is_file())
    record.write_json(args.manifest, {"files": {file.name: record.sha256(file) for file in files}})
    inputs = [file for file in (args.pack, args.slice, *args.inputs) if file]
    record.write(args.record, args.recipe, inputs, [args.manifest], **facts)


if __name__ == "__main__":
    cli.run(main)
