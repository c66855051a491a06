"""Pre-training with masked language modelling against Hugging Face's Trainer: speed, or with --loss held-out loss.

    python benchmarks/pretrain.py                                # speed, three shapes of BERT on one CPU thread
    python benchmarks/pretrain.py --shapes base --updates 100    # the shape for a GPU
    python benchmarks/pretrain.py --loss                         # held-out loss

The baseline is Trainer as transformers' example run_mlm uses it: a datasets.Dataset of chunks,
DataCollatorForLanguageModeling, BertForMaskedLM, dropout 0.1, fp32 (on a GPU also bf16). gridlaw is the pipeline's own
code after the sequences are on disk, in two variants: the *same recipe*, and its *default*, without dropout and in bf16
if the device multiplies in it. Model, sequences, batch, mask rate, optimizer and threads are the same for all.

Speed: the variants take turns, so that other load on the machine affects all of them. A turn's result is the median
time of its optimizer steps, without the first ones and without start-up, evaluation and checkpoints. A ratio is that of
two results of the same round; the program prints the median over rounds, and the range. *Model FLOPs* are those that
the objective needs (gridlaw.flops), so computing more than that does not count as work. They are compared with the best
speed of a square matrix product, also measured here; a program that skips unused outputs can exceed it.

Loss: the text is the embedded language, prepared by the pipeline's own programs. Every variant reads the same number of
tokens with the same learning rate, warm-up and linear decay, and is evaluated by the same function on the same held-out
text.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import common
import numpy as np
import torch
from datasets import Dataset
from transformers import BertTokenizer, DataCollatorForLanguageModeling, Trainer, TrainingArguments
from transformers.utils import logging

from gridlaw import io
from gridlaw.canonical_json import canonical
from gridlaw.data import rows
from gridlaw.models import flops
from gridlaw.runtime import measures
from gridlaw.training import devices, pretraining
from gridlaw.training.checkpoints import StepTimes
from gridlaw.workflow.kinds.data import PACK, SEGMENTS, TOKENIZER
from gridlaw.workflow.kinds.training import PRETRAIN

SHAPES = {  # layers, width, heads, vocabulary
    "tiny8k": (2, 128, 2, 8192),
    "tiny30k": (2, 128, 2, 30522),
    "mini30k": (6, 384, 12, 30522),
    "base": (12, 768, 12, 30522),
}
# Changes of each variant to the recipe; baselines are run by Trainer alone.
BASELINES = {"Trainer": {"dropout": 0.1, "precision": "fp32"}}
if torch.cuda.is_available():
    BASELINES["Trainer bf16"] = {"dropout": 0.1, "precision": "bf16"}
VARIANTS = BASELINES | {
    "gridlaw, same recipe": {"dropout": 0.1, "precision": "fp32"},
    "gridlaw, default": {"dropout": 0.0, "precision": "auto"},
}
# Optimizer steps at the start of a turn that do not count, because memory is allocated and kernels are chosen.
WARMING_UP = 2
NEVER = 1e9


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", action="store_true", help="compare held-out losses instead of speed")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each variant (default: 1, a rank)")
    speed = parser.add_argument_group("speed")
    speed.add_argument("--shapes", nargs="+", choices=SHAPES, default=["tiny8k", "tiny30k", "mini30k"])
    speed.add_argument("--rounds", type=int, default=5, help="turns of each variant (default: 5)")
    speed.add_argument("--updates", type=int, default=10, help="optimizer steps of a turn (default: 10)")
    loss = parser.add_argument_group("loss")
    loss.add_argument("--seeds", type=int, default=3, help="replicates (default: 3)")
    loss.add_argument("--tokens", type=int, default=300_000, help="tokens of the text (default: 300000)")
    loss.add_argument("--passes", type=int, default=3, help="epochs (default: 3)")
    args = parser.parse_args()
    if args.updates < WARMING_UP + 2:
        parser.error(f"--updates: {args.updates} is too few; expected {WARMING_UP + 2} or more")

    torch.set_num_threads(args.threads)
    logging.set_verbosity_error()
    common.print_machine(args.threads)
    with tempfile.TemporaryDirectory(prefix="gridlaw-") as folder:
        compare_losses(args, Path(folder)) if args.loss else compare_speed(args, Path(folder))


# Both sides ----------------------------------------------------------------------------------------------------------


def recipe_of(**changes: object) -> dict:
    """The pipeline's default recipe with run_mlm's defaults of the optimizer, and further changes."""
    trainers = {"weight_decay": 0.0, "adam_beta2": 0.999, "max_grad_norm": 1.0, "mask_rate": 0.15}
    recipe = PRETRAIN.recipe(common.configuration(), "small", "1k", gpus=1, seed=1).values
    return recipe | trainers | {"schedule": "independent", "decay_ratio": 1, "decay_shape": "linear"} | changes


def bert(layers: int, width: int, heads: int, positions: int) -> dict:
    """A from-scratch model of the catalogue."""
    shape = {"num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads}
    shape["max_position_embeddings"] = positions
    return {"model_type": "bert", "shape": shape, "config": {}, "initializer_range": 0.02}


def train(variant: str, recipe: dict, files: dict[str, Path]):
    """Train a new model in one variant.

    Args:
        files: folder of the tokenizer, rows of token ids, manifest of the slice.

    Returns:
        model, tokenizer, seconds of each optimizer step.
    """
    with tempfile.TemporaryDirectory(prefix="gridlaw-") as work:
        args = Namespace(**files, recipe=recipe, work=work, trunk=None, tensorboard=None, checkpoint_minutes=NEVER)
        model, _, tokenizer = pretraining.load_model(args)
        # Trainer prints its log.
        with redirect_stdout(StringIO()):
            if variant in BASELINES:
                return model, tokenizer, run_trainer(model, tokenizer, args)
            trainer, _ = pretraining.train(model, tokenizer, args, "benchmark", until=lambda plan: plan.steps)
        return model, tokenizer, trainer.times.seconds


def run_trainer(model, tokenizer, args: Namespace) -> list[float]:
    """Train as run_mlm does."""
    recipe, text = args.recipe, rows.open_slice(args.rows, args.slice)
    plan = pretraining.Plan.make(recipe, text)
    tokens = text.take(np.arange(len(text)))
    chunks = Dataset.from_dict(
        {
            "input_ids": tokens.tolist(),
            "token_type_ids": np.zeros_like(tokens).tolist(),
            "attention_mask": (tokens != text.pad).astype(int).tolist(),
            "special_tokens_mask": np.isin(tokens, tokenizer.all_special_ids).astype(int).tolist(),
        }
    )
    times = StepTimes()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=args.work,
            max_steps=plan.steps,
            per_device_train_batch_size=plan.batch,
            learning_rate=recipe["learning_rate"],
            warmup_steps=plan.rate.warmup,
            weight_decay=recipe["weight_decay"],
            adam_beta2=recipe["adam_beta2"],
            max_grad_norm=recipe["max_grad_norm"],
            bf16=devices.bf16(recipe["precision"]),
            seed=recipe["seed"],
            use_cpu=not torch.cuda.is_available(),
            # A smaller last batch of each epoch would mean fewer tokens after the same number of steps.
            dataloader_drop_last=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=chunks,
        processing_class=tokenizer,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=recipe["mask_rate"]),
        callbacks=[times],
    )
    trainer.train()
    return times.seconds


# Speed ---------------------------------------------------------------------------------------------------------------

BATCH, LENGTH = 32, 128


def compare_speed(args: Namespace, folder: Path) -> None:
    """Take turns and print a table for each shape."""
    ceilings = {dtype: ceiling(dtype) for dtype in (torch.float32, torch.bfloat16)}
    print("matrix product:", ", ".join(f"{dtype} {rate / 1e9:.0f} GFLOP/s" for dtype, rate in ceilings.items()))
    print(f"{args.rounds} rounds of {args.updates} optimizer steps, the first {WARMING_UP} not counted\n", flush=True)
    for name in args.shapes:
        layers, width, heads, vocabulary = SHAPES[name]
        files = write_rows(folder / name, vocabulary, BATCH * args.updates)
        model = bert(layers, width, heads, positions=512)
        recipe = recipe_of(model=model, batch_size=BATCH, learning_rate=5e-5, passes=1, warmup_tokens=0)
        turns: dict[str, list[Turn]] = {variant: [] for variant in VARIANTS}
        # Each turn has its own process, so that the state of the allocator does not affect the next turn.
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as process:
            for _ in range(args.rounds):
                for variant, changes in VARIANTS.items():
                    turns[variant].append(process.submit(turn, variant, recipe | changes, files, args.threads).result())
        flop = turns["Trainer"][0].flop
        print(f"{name}: {layers} layers of {width}, vocabulary {vocabulary}, {flop / 1e9:.1f} GFLOP per step")
        common.print_table([line(variant, turns, ceilings) for variant in VARIANTS])


class Turn(NamedTuple):
    """The measurements of one turn."""

    seconds: float  # of the median optimizer step
    flop: int  # of an optimizer step, as the objective needs
    peak_mb: float  # of the GPU, or of the process


def turn(variant: str, recipe: dict, files: dict[str, Path], threads: int) -> Turn:
    """A variant's turn, in a fresh process."""
    if variant not in BASELINES:
        devices.prepare()
    torch.set_num_threads(threads)
    logging.set_verbosity_error()
    model, _, seconds = train(variant, recipe, files)
    predicted = round(recipe["mask_rate"] * BATCH * LENGTH)
    flop = flops.training_flops(model, LENGTH, BATCH, predicted)["flops"]
    # The first time is that of the second step.
    return Turn(statistics.median(seconds[WARMING_UP - 1 :]), flop, measures.peak_memory_mb())


def line(variant: str, turns: dict[str, list[Turn]], ceilings: dict[torch.dtype, float]) -> dict[str, str]:
    """A variant's row of the table."""
    results = turns[variant]
    seconds = statistics.median(result.seconds for result in results)
    ratios = {
        base: [theirs.seconds / ours.seconds for theirs, ours in zip(turns[base], results, strict=True)]
        for base in BASELINES
    }
    return {
        "variant": variant,
        "ms/step": common.spread([1000 * result.seconds for result in results], ".0f"),
        "tokens/s": f"{BATCH * LENGTH / seconds:.0f}",
        **{f"{base} / this": common.spread(values) for base, values in ratios.items()},
        "model GFLOP/s": f"{results[0].flop / seconds / 1e9:.0f}",
        "of fp32": f"{results[0].flop / seconds / ceilings[torch.float32]:.0%}",
        "of bf16": f"{results[0].flop / seconds / ceilings[torch.bfloat16]:.0%}",
        "peak MB": f"{max(result.peak_mb for result in results):.0f}",
    }


def write_rows(folder: Path, vocabulary: int, count: int) -> dict[str, Path]:
    """Rows of Zipf-distributed token ids, the slice of them all and a tokenizer: speed does not depend on the text."""
    folder.mkdir()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [f"word{number}" for number in range(vocabulary - len(special))]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate([*special, *words])})
    tokenizer.save_pretrained(folder / "tokenizer")
    ids = rows.Special(tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    frequency = 1 / np.arange(1, len(words) + 1)
    drawn = np.random.default_rng(0).choice(len(words), count * (LENGTH - 1), p=frequency / frequency.sum())
    packer = rows.Packer(folder / "rows.bin", LENGTH, whole=False, special=ids, vocabulary=vocabulary)
    packer.add([segment.tolist() for segment in np.array_split(len(special) + drawn, count * 4)])
    packer.close()
    manifest = {"end": count * (LENGTH - 1), "pad": ids.pad, "dtype": packer.dtype.name, "row_length": LENGTH}
    io.write_json(folder / "slice.json", manifest)
    return {"tokenizer": folder / "tokenizer", "rows": folder / "rows.bin", "slice": folder / "slice.json"}


def ceiling(dtype: torch.dtype, size: int = 2048, times: int = 10) -> float:
    """FLOP per second of the fastest of several square matrix products."""
    device = devices.device()
    if device.type == "cuda":
        # A small product ends before the next is launched.
        size = 8192
    left, right = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
    fastest = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        torch.mm(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize()
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * size**3 / fastest


# Loss ----------------------------------------------------------------------------------------------------------------


def compare_losses(args: Namespace, folder: Path) -> None:
    """Train every variant with every seed and print a table."""
    files, pack = write_text(folder, args.tokens)
    held_out = rows.Slice(folder / "held_out.bin", {**pack, "end": pack["held_out"]["end"]})
    recipe = recipe_of(
        model=bert(layers=2, width=128, heads=2, positions=64),
        batch_size=16,
        learning_rate=2e-3,
        passes=args.passes,
        warmup_tokens=args.tokens * args.passes // 10,
    )
    measured = recipe | {"precision": "fp32"}
    losses: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for seed in range(1, args.seeds + 1):
        for variant, changes in VARIANTS.items():
            model, tokenizer, _ = train(variant, recipe | changes | {"seed": seed}, files)
            losses[variant].append(pretraining.held_out_loss(model, tokenizer, measured, held_out)["held_out_loss"])
    plan = pretraining.Plan.make(recipe, rows.open_slice(files["rows"], files["slice"]))
    read = plan.steps * plan.batch * pack["row_length"]
    print(f"2 layers of 128, {read} positions read in {plan.steps} optimizer steps, {len(held_out)} sequences held out")
    print(f"unigram baseline: {pack['held_out']['unigram_loss']:.4f} nats\n")
    table = []
    for variant, values in losses.items():
        differences = [loss - base for loss, base in zip(values, losses["Trainer"], strict=True)]
        table.append(
            {
                "held-out loss, nats": variant,
                **{f"seed {seed}": f"{value:.4f}" for seed, value in enumerate(values, 1)},
                "mean": f"{statistics.mean(values):.4f}",
                "- Trainer": f"{statistics.mean(differences):+.4f}",
                "sd": f"{statistics.stdev(differences):.4f}" if len(differences) > 1 else "",
            }
        )
    common.print_table(table)


def write_text(folder: Path, tokens: int) -> tuple[dict[str, Path], dict]:
    """A slice of the embedded language as the pipeline prepares it, and the manifest of its rows."""
    config = common.configuration()
    config["data"] |= {"row_length": 64, "packing": "continuous"}
    corpus = {"source": "generator", "words": tokens * 5 // 4 + config["data"]["held_out_words"], "seed": 1}

    def run(program: str, recipe: dict, *files: str) -> None:
        options = [part if part.startswith("--") else str(folder / part) for part in files]
        command = [sys.executable, common.SCRIPTS / f"{program}.py", "--recipe", canonical(recipe), *options]
        subprocess.run([*command, "--record", folder / f"{program}.record"], check=True)

    run("corpus", corpus, "--documents", "documents", "--manifest", "corpus.json")
    run(
        "segments", SEGMENTS.recipe(config).values, "--documents", "documents", "--corpus", "corpus.json",
        "--train", "train", "--held-out", "held_out", "--manifest", "segments.json",
    )  # fmt: skip
    run(
        "tokenizer", TOKENIZER.recipe(config, "wordpiece").values, "--segments", "train",
        "--segments-manifest", "segments.json", "--folder", "tokenizer", "--manifest", "tokenizer.json",
    )  # fmt: skip
    run(
        "pack", PACK.recipe(config).values, "--train", "train", "--held-out", "held_out",
        "--segments-manifest", "segments.json", "--tokenizer", "tokenizer",
        "--rows", "rows.bin", "--index", "index",
        "--held-out-rows", "held_out.bin", "--manifest", "pack.json",
    )  # fmt: skip
    run(
        "slice", {"size_tokens": tokens}, "--grid-index", "index", "--index", "index", "--rows", "rows.bin",
        "--pack", "pack.json", "--grid-pack", "pack.json", "--manifest", "slice.json",
    )  # fmt: skip
    files = {"tokenizer": folder / "tokenizer", "rows": folder / "rows.bin", "slice": folder / "slice.json"}
    return files, io.read_json(folder / "pack.json")


if __name__ == "__main__":
    main()
