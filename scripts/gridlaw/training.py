"""What pre-training and fine-tuning ask of Hugging Face's Trainer alike, and say of a run."""

from __future__ import annotations

import os
import resource
import statistics
from pathlib import Path

import torch
from transformers import TrainingArguments

from gridlaw import devices


def arguments(recipe: dict, steps: int, ranks: int, folder: str | Path, **more: object) -> TrainingArguments:
    """Trainer's arguments for a recipe's optimisation.

    Args:
        recipe: has the schema's hyper-parameters of optimisation; `batch_size` is that of an update over all ranks.
        steps: updates of the run.
        ranks: data-parallel ranks that share an update.
        folder: where Trainer may write.
        more: arguments of its own that a program adds.
    """
    share = recipe["batch_size"] // ranks
    accumulation = next(n for n in range(1, share + 1) if share % n == 0 and share // n <= recipe["device_batch_size"])
    cuda = torch.cuda.is_available()
    if recipe["compile"]:
        # Kernels for any shape, and none of an earlier run: one made for the shapes that a process happens to see first
        # would make a resumed run differ.
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
        # The order of the data is the data set's own, a pure function of seed and pass.
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        accelerator_config={"non_blocking": cuda},
        logging_steps=max(1, steps // 50),
        # It would wait for the GPU at each update.
        logging_nan_inf_filter=False,
        save_strategy="no",
        disable_tqdm=True,
        # The gradients' buckets are otherwise laid out anew after the first update since the start, which changes the
        # order of sums over more than two ranks: a resumed run would differ.
        ddp_find_unused_parameters=ranks > 2,
        **more,
    )


def log_to_tensorboard(folder: str | Path | None) -> str:
    """Trainer's `report_to`: TensorBoard's files go to `folder`, or nowhere."""
    if folder is None:
        return "none"
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder)
    return "tensorboard"


def throughput(seconds: list[float], tokens_per_step: float) -> dict[str, float | None]:
    """Tokens a second at the median update, with the 95 % interval of the median (order statistics)."""
    if not seconds:
        return {"tokens_per_second": None, "tokens_per_second_low": None, "tokens_per_second_high": None}
    ordered, n = sorted(seconds), len(seconds)
    reach = 0.98 * n**0.5
    low, high = max(0, round(n / 2 - reach) - 1), min(n - 1, round(n / 2 + reach))
    return {
        "tokens_per_second": tokens_per_step / statistics.median(ordered),
        "tokens_per_second_low": tokens_per_step / ordered[high],
        "tokens_per_second_high": tokens_per_step / ordered[low],
    }


def peak_memory_mb() -> float:
    """Most memory the running rank held: of its GPU, or of its process on a machine without."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
