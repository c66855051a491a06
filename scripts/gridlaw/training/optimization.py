"""The optimization that a recipe describes, as arguments of Hugging Face's Trainer."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from transformers import TrainingArguments

from gridlaw.training import devices


def arguments(recipe: dict, steps: int, ranks: int, folder: str | Path, **more: object) -> TrainingArguments:
    """Return Trainer's arguments for the optimization that a recipe describes.

    Args:
        recipe: with the schema's optimization keys; `batch_size` counts sequences per optimizer step, over all ranks.
        steps: optimizer steps of the run.
        ranks: data-parallel ranks that share a step.
        folder: a folder that Trainer may write in.
        more: further arguments of Trainer.
    """
    share = recipe["batch_size"] // ranks
    accumulation = next(n for n in range(1, share + 1) if share % n == 0 and share // n <= recipe["device_batch_size"])
    cuda = torch.cuda.is_available()
    if recipe["compile"]:
        # Compile kernels for any shape, and keep none of an earlier run: kernels for the shapes that a process happens
        # to see first would change the result of a resumed run.
        torch.compiler.reset()
        os.environ["ACCELERATE_DYNAMO_USE_DYNAMIC"] = "true"
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=share // accumulation,
        gradient_accumulation_steps=accumulation,
        learning_rate=recipe["learning_rate"],
        weight_decay=recipe["weight_decay"],
        adam_beta2=recipe["adam_beta2"],
        max_grad_norm=recipe["max_grad_norm"],
        bf16=devices.bf16(recipe["precision"]),
        tf32=recipe["precision"] == "tf32" if cuda else None,
        torch_compile=recipe["compile"],
        use_cpu=not cuda,
        # The data set itself orders the data, as a pure function of seed and epoch.
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        accelerator_config={"non_blocking": cuda},
        logging_steps=max(1, steps // 50),
        # The filter would wait for the GPU at each step.
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        # Otherwise DDP rebuilds its gradient buckets after the first step of each process. With more than two ranks
        # this changes the summation order, and so the result of a resumed run.
        ddp_find_unused_parameters=ranks > 2,
        **more,
    )
