"""Pre-training with masked language modelling: from a slice to a trained model, or to the next state of the trunk.

A run is one flat list of optimizer steps over one flat list of rows, so the number of a step determines its batch.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Subset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from gridlaw import cli, io, legacy
from gridlaw.data import masking, rows
from gridlaw.models import flops, modeling
from gridlaw.objectives.objective import find as find_objective
from gridlaw.runtime import callbacks, measures
from gridlaw.runtime.heartbeat import Heartbeat, Unit
from gridlaw.training import devices, optimization, schedule
from gridlaw.training.checkpoints import ResumableTrainer, step

# Nats. A model whose loss is this close to the unigram baseline has learned nothing about the order of words.
UNIGRAM_MARGIN = 0.02


def load_model(args: Namespace) -> tuple[PreTrainedModel, bool, PreTrainedTokenizerBase]:
    """Return the model with its initial weights, whether it has a head that means something, and its tokenizer."""
    recipe, objective = args.recipe, find_objective(args.recipe)
    set_seed(recipe["seed"])
    tokenizer = modeling.tokenizer(args.tokenizer)
    if not recipe["model"]:
        model, has_head = objective.load(args.tokenizer, recipe)
        actual = model.config.model_type
        if recipe.get("family", actual) != actual:
            raise cli.Failure(f"catalogue.models: model_type: {recipe['family']}, but the checkpoint is {actual}")
        return model, has_head, tokenizer
    return objective.build(recipe["model"], tokenizer, recipe), True, tokenizer


@dataclass(frozen=True)
class Plan:
    """A run over a slice.

    Args:
        batch: sequences in an optimizer step.
        steps: optimizer steps.
        rate: learning-rate schedule.
    """

    batch: int
    steps: int
    rate: schedule.Schedule

    @classmethod
    def make(cls, recipe: dict, text: rows.Slice) -> Plan:
        """Return the plan of a recipe for a slice.

        Raises:
            Failure: the slice is too short for one optimizer step, or for the warm-up.
        """
        batch = recipe["batch_size"]
        steps = recipe["passes"] * len(text) // batch
        if not steps:
            raise cli.Failure(
                f"pretrain.batch_size: {batch} is more than the {len(text)} sequences of the slice; use fewer"
            )
        warmup = math.ceil(recipe["warmup_tokens"] / (batch * text.rows.shape[1]))
        decay_from = schedule.branch_point(steps, recipe["decay_ratio"], warmup)
        if warmup >= steps or (recipe["schedule"] == "trunk" and warmup > steps - round(recipe["decay_ratio"] * steps)):
            raise cli.Failure(
                f"pretrain.warmup_tokens: {recipe['warmup_tokens']} tokens are {warmup} optimizer steps, and this size"
                f" has {steps}, including its decay; use fewer tokens, or larger sizes"
            )
        # A trunk ends where the decay begins, so its recipe has no decay_shape.
        return cls(batch, steps, schedule.Schedule(warmup, decay_from, steps, recipe.get("decay_shape")))


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    args: Namespace,
    fingerprint: str,
    until: Callable[[Plan], int],
    measure: Callable[[], dict[str, float]] | None = None,
) -> tuple[ResumableTrainer, Plan]:
    """Train a model in place.

    Args:
        args: the program's arguments.
        fingerprint: the run's fingerprint.
        until: returns the optimizer step to stop after.
        measure: returns the held-out loss, for measurements during the training.
    """
    recipe, text = args.recipe, rows.open_slice(args.rows, args.slice)
    plan = Plan.make(recipe, text)
    last = until(plan)
    objective = find_objective(recipe)
    trainer = ResumableTrainer(
        model=objective.with_loss(model),
        args=optimization.arguments(
            recipe,
            last,
            recipe["gpus"],
            args.work,
            seed=recipe["seed"],
        ),
        train_dataset=objective.training_batches(text, tokenizer, recipe, last * plan.batch),
        data_collator=masking.as_batch,
        folder=Path(args.work),
        fingerprint=fingerprint,
        minutes=args.checkpoint_minutes,
        schedule=plan.rate,
    )
    if measure:
        callbacks.evaluate_regularly(trainer, measure, plan.steps, args.evaluations)
    start = Path(args.trunk) if args.trunk else None
    before = step(start) if start else 0
    unit = Unit("tokens", tokens_per_step(args, plan))
    heartbeat = Heartbeat(args.work, last - before, unit)
    callbacks.report_progress(trainer, unit, lambda done: heartbeat.beat(done - before), args.tensorboard)
    trainer.run(start)
    return trainer, plan


def tokens_per_step(args: Namespace, plan: Plan) -> float:
    """Return the average number of tokens in an optimizer step, without padding."""
    size = legacy.slice(io.read_json(args.slice))
    return size["corpus_tokens"] / size["rows"] * plan.batch


def facts(trainer: ResumableTrainer, plan: Plan, args: Namespace, model: PreTrainedModel) -> dict:
    """Return what a record holds about a training. Steps, tokens and FLOPs count from the model's initial weights."""
    recipe, size = args.recipe, legacy.slice(io.read_json(args.slice))
    steps = trainer.state.global_step
    per_step = tokens_per_step(args, plan)
    logged = [(entry["step"], entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    losses = [loss for _, loss in logged]
    done = steps - trainer.first_step
    return {
        "size_tokens": size["size_tokens"],
        "corpus_tokens": size["corpus_tokens"],
        "trained_tokens": round(steps * per_step),
        "steps": steps,
        "steps_here": done,
        "batch_rows": plan.batch,
        "warmup_steps": plan.rate.warmup,
        "decay_from": plan.rate.decay_from,
        "final_loss": sum(losses[-5:]) / len(losses[-5:]) if losses else None,
        # Each loss is the mean since the step of the previous entry.
        "curve": {"step": [step for step, _ in logged], "loss": losses},
        **measures.throughput(trainer.times.seconds, per_step),
        "train_seconds": round(trainer.seconds, 3),
        "tokens_here": round(done * per_step),
        **flops.training_flops(
            model,
            size["row_length"],
            steps * plan.batch,
            round(find_objective(recipe).predicted_share(recipe) * steps * per_step),
        ),
    }


@torch.no_grad()
def held_out_loss(model, tokenizer, recipe: dict, held_out: rows.Slice) -> dict[str, float]:
    """Return the mean held-out loss per masked token, in nats, and its standard error over rows; ranks share the work.

    The mask rate is the recipe's `held_out_mask_rate`, whatever rate the model was trained with. A higher rate leaves
    less context, so losses at different rates cannot be compared.
    """
    objective = find_objective(recipe)
    examples = objective.held_out_batches(held_out, tokenizer, recipe)
    ranks, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    share = range(rank * len(examples) // ranks, (rank + 1) * len(examples) // ranks)
    # Without its own generator the loader would draw from the one that dropout uses.
    loader = DataLoader(
        Subset(examples, share),
        batch_size=recipe["device_batch_size"],
        collate_fn=masking.as_batch,
        generator=torch.Generator(),
    )
    device, was_training = next(model.parameters()).device, model.training
    predict = objective.with_loss(model).eval()
    # With more ranks than rows, some ranks have none.
    per_row = [torch.zeros(2, 0, dtype=torch.float64, device=device)]
    with torch.autocast(device.type, torch.bfloat16, enabled=devices.bf16(recipe["precision"])):
        for batch in loader:
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            losses = predict.losses(**batch).double()
            row = batch["positions"] // batch["input_ids"].shape[1]
            sums = torch.zeros(2, len(batch["input_ids"]), dtype=losses.dtype, device=device)
            per_row.append(sums.index_add_(1, row, torch.stack([losses, torch.ones_like(losses)])))
    model.train(was_training)
    sums, counts = torch.cat(per_row, 1)
    # Standard error of a ratio of means over rows, from the residuals: sum of losses minus mean loss times count.
    moments = torch.stack(
        [sums.sum(), counts.sum(), (sums * sums).sum(), (sums * counts).sum(), (counts * counts).sum()]
    )
    if ranks > 1:
        dist.all_reduce(moments)
    total, count, squares, cross, count_squares = moments.tolist()
    mean = total / count
    variance = max(0.0, squares - 2 * mean * cross + mean * mean * count_squares)
    return {"held_out_loss": mean, "held_out_loss_se": math.sqrt(variance) / count}


def finish() -> None:
    """Wait until rank 0 has written the result, then leave the process group."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
