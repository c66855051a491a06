"""Fine-tuning against Hugging Face's Trainer as in the example run_glue: wall time of whole processes.

    python benchmarks/finetune.py
    python benchmarks/finetune.py --tasks small --layers 4 --hidden 256

There are two tasks: one with the size and lengths of MRPC and one seed, where most of the time is training, and a small
one with five seeds, where start-up matters. The baseline is run_glue_baseline.py, a process for each seed: pairs padded
to 128 tokens, fp32, dropout 0.1, validation in batches of 8. gridlaw is the pipeline's own scripts/finetune.py, one
process for all seeds, with its default recipe: batches of similar length, bf16 if the device multiplies in it, no
dropout, validation in batches of 64. Model, examples, epochs, batch and learning rate are the same.

The time is from the start of the first process to the end of the last: imports, loading, tokenisation, training,
evaluation. Both sides take turns; a ratio is that of two results of the same round. The program prints medians over
rounds with ranges, and also CPU time, for machines with other load.

The text is the embedded language: pairs that praise or blame things, with that as the label. The model has random
weights, so accuracy shows whether training works equally well on both sides, and nothing about pre-training.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import common
import numpy as np
import pandas as pd
import tokenizer as tokenizer_program
import torch
from transformers import PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from gridlaw import io
from gridlaw.canonical_json import canonical
from gridlaw.data import language
from gridlaw.models import modeling
from gridlaw.workflow.kinds.training import FINETUNE

BASELINE = Path(__file__).with_name("run_glue_baseline.py")
TASKS = {  # training pairs, validation pairs, seeds
    "mrpc-sized": (3668, 408, 1),
    "small": (500, 250, 5),
}
# Tokens of MRPC's pairs: mean, and standard deviation so that 95 % are at most 107.
MEAN, DEVIATION = 73, 20.5
MAX_LENGTH, BATCH = 128, 32


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default: 3)")
    parser.add_argument("--layers", type=int, default=2, help="layers of the model (default: 2)")
    parser.add_argument("--hidden", type=int, default=128, help="width of the model, in heads of 64 (default: 128)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs (default: 3)")
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="peak learning rate (default: 5e-4)")
    parser.add_argument(
        "--threads", type=int, default=1, help="CPU threads of the baseline; gridlaw takes one (default: 1)"
    )
    args = parser.parse_args()
    disable_progress_bar()
    common.print_machine(args.threads)
    with tempfile.TemporaryDirectory(prefix="gridlaw-") as folder:
        for task in args.tasks:
            compare(task, Path(folder, task), args)


def compare(task: str, folder: Path, args: argparse.Namespace) -> None:
    """Take turns on a task and print its table."""
    train, validation, seeds = TASKS[task]
    folder.mkdir()
    splits = {"train": examples(train, 1), "validation": examples(validation, 2)}
    tokenizer = write_model(folder / "model", splits["train"], args)
    tokens = [len(tokenizer(*pair)["input_ids"]) for pair in splits["train"][["sentence1", "sentence2"]].to_numpy()]
    print(
        f"{task}: {train} pairs of {np.mean(tokens):.0f} tokens (95 % at most {np.quantile(tokens, 0.95):.0f}) to train"
        f" on, {validation} to validate, {seeds} seed{'s' * (seeds > 1)}; {args.layers} layers of {args.hidden}",
        flush=True,
    )
    for split, frame in splits.items():
        frame.to_json(folder / f"{split}.json", orient="records", lines=True)
    pd.concat(splits, names=["split"]).reset_index("split").to_parquet(folder / "examples.parquet", index=False)
    io.write_json(folder / "task.json", {"classes": [0, 1]})
    io.write_json(folder / "model.json", {})

    sides = {"run_glue": run_glue, "gridlaw": gridlaw}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    cpu_seconds: dict[str, list[float]] = {side: [] for side in sides}
    accuracies: dict[str, list[float]] = {}
    for _ in range(args.rounds):
        for side, run in sides.items():
            with tempfile.TemporaryDirectory(prefix="gridlaw-") as output:
                start, cpu_start = time.perf_counter(), cpu_of_children()
                accuracies[side] = run(folder, Path(output), range(1, seeds + 1), args)
                seconds[side].append(time.perf_counter() - start)
                cpu_seconds[side].append(cpu_of_children() - cpu_start)

    def ratio(measured: dict[str, list[float]], side: str) -> str:
        return common.spread([base / own for base, own in zip(measured["run_glue"], measured[side], strict=True)])

    common.print_table(
        [
            {
                "program": side,
                "seconds": common.spread(seconds[side], ".1f"),
                "run_glue / this": ratio(seconds, side),
                "CPU seconds": common.spread(cpu_seconds[side], ".1f"),
                "of their CPU": ratio(cpu_seconds, side),
                "accuracy": f"{np.mean(accuracies[side]):.3f}",
                "of each seed": " ".join(f"{accuracy:.3f}" for accuracy in accuracies[side]),
            }
            for side in sides
        ]
    )


def run_glue(folder: Path, output: Path, seeds: range, args: argparse.Namespace) -> list[float]:
    """A process for each seed; later ones reuse the tokenised examples of the first."""
    for seed in seeds:
        execute(
            args, output, BASELINE, "--model", folder / "model", "--train", folder / "train.json",
            "--validation", folder / "validation.json", "--output", output / str(seed),
            "--metrics", output / f"{seed}.json", "--max-seq-length", MAX_LENGTH, "--batch-size", BATCH,
            "--learning-rate", args.learning_rate, "--epochs", args.epochs, "--seed", seed,
        )  # fmt: skip
    return [json.loads((output / f"{seed}.json").read_text())["eval_accuracy"] for seed in seeds]


def gridlaw(folder: Path, output: Path, seeds: range, args: argparse.Namespace) -> list[float]:
    """One process for all seeds."""
    recipe = FINETUNE.recipe(common.configuration(), "small", "paraphrase").values | {
        "seeds": list(seeds),
        "epochs": args.epochs,
        "max_length": MAX_LENGTH,
        "batch_size": BATCH,
        "learning_rate": args.learning_rate,
        # As in run_glue.
        "weight_decay": 0.0,
        "warmup_ratio": 0.0,
    }
    execute(
        args, output, common.SCRIPTS / "finetune.py", "--recipe", canonical(recipe),
        "--model", folder / "model", "--model-manifest", folder / "model.json",
        "--examples", folder / "examples.parquet", "--task", folder / "task.json",
        "--predictions", output / "predictions.parquet", "--manifest", output / "manifest.json",
        "--record", output / "record.json", "--work", output / "work",
    )  # fmt: skip
    predictions = pd.read_parquet(output / "predictions.parquet")
    is_correct = predictions["label"] == predictions["prediction"]
    return is_correct.groupby(predictions["seed"]).mean().tolist()


def execute(args: argparse.Namespace, output: Path, *command: object) -> None:
    """Run a program to its end; its output is shown if it fails."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(args.threads),
        "HF_DATASETS_CACHE": str(output / "cache"),
    }
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        sys.exit(done.stdout.decode())


def cpu_of_children() -> float:
    """CPU time of the programs run so far, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def examples(count: int, seed: int) -> pd.DataFrame:
    """Pairs of texts with the lengths of MRPC's; most of their sentences agree with the label."""
    random = Random(f"pairs {seed}")
    topics, words = language.Urn(language.TOPICS, language.zipf), language.urns(language.zipf)
    speaker = language.Speaker(random, topics, words, language.CUE)
    rows = []
    for _ in range(count):
        speaker.change_topic()
        label = int(speaker.chance(0.5))
        # Three tokens are special tokens.
        length = round(min(max(random.gauss(MEAN, DEVIATION), 20), MAX_LENGTH)) - 3
        pair = [text(speaker, label, length // 2), text(speaker, label, length - length // 2)]
        rows.append({"sentence1": pair[0], "sentence2": pair[1], "label": label})
    return pd.DataFrame(rows)


def text(speaker: language.Speaker, label: int, length: int) -> str:
    """Descriptions of things, cut to a number of words."""
    words: list[str] = []
    while len(words) < length:
        praised = label if speaker.chance(0.8) else 1 - label
        words += language.review(speaker, ("blame", "praise")[praised])
    return " ".join(words[:length])


def write_model(folder: Path, train: pd.DataFrame, args: argparse.Namespace) -> PreTrainedTokenizerFast:
    """A BERT with random weights, and its tokenizer."""
    recipe = {"algorithm": "wordpiece", "vocab_size": 8192, "lowercase": True}
    texts = train["sentence1"].tolist() + train["sentence2"].tolist()
    network = tokenizer_program.train(recipe, lambda: iter([texts]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=network, **tokenizer_program.SPECIAL)
    shape = {"num_hidden_layers": args.layers, "hidden_size": args.hidden, "num_attention_heads": args.hidden // 64}
    shape["max_position_embeddings"] = 512
    entry = {"model_type": "bert", "shape": shape, "config": {}, "initializer_range": 0.05}
    torch.manual_seed(0)
    modeling.masked_lm(entry, tokenizer, 0.1, "auto").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


if __name__ == "__main__":
    main()
