"""Costs and savings of a shared trunk: its branches against linear decay tuned for each size, over seeds.

    snakemake --cores 2 --configfile benchmarks/schedules.yaml --directory runs/schedules --until slice
    python benchmarks/schedules.py --resources runs/schedules/resources --corpus toy --sizes 64k 128k 256k 512k

For each seed, both schedules have the same sequences, masks, initial weights and warm-up. Linear decay has the best of
`--rates` for each size, the trunk the best one for all sizes, both chosen with the first seed. The program prints
held-out losses, paired differences and trained tokens.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from transformers.utils import logging

from gridlaw import io
from gridlaw.config import grid
from gridlaw.data import rows
from gridlaw.training import devices, pretraining


class Setting:
    """Sequences, tokenizer and model of the comparison.

    Args:
        args: arguments of the program.
        folder: folder for checkpoints.
    """

    def __init__(self, args: Namespace, folder: Path):
        self.args, self.folder = args, folder
        self.pack = args.resources / "pack" / args.corpus / args.tokenizer
        manifest = io.read_json(self.pack / "manifest.json")
        self.unigram = manifest["held_out"]["unigram_loss"]
        self.held_out = rows.Slice(self.pack / "held_out.bin", {**manifest, "end": manifest["held_out"]["end"]})
        self.tokens = 0

    def recipe(self, rate: float, seed: int, **schedule: object) -> dict:
        """A recipe of the comparison."""
        width = self.args.hidden
        shape = {"num_hidden_layers": 2, "hidden_size": width, "num_attention_heads": 2, "intermediate_size": 4 * width}
        model = {"model_type": "bert", "config": {}, "initializer_range": 0.05, "shape": shape}
        shape["max_position_embeddings"] = int(self.held_out.rows.shape[1])
        return {
            "model": model, "gpus": 1, "seed": seed, "passes": 1, "mask_rate": self.args.mask_rate,
            "held_out_mask_rate": 0.15,
            "warmup_tokens": grid.parse_size(self.args.warmup),
            "batch_size": self.args.batch, "device_batch_size": 256, "learning_rate": rate, "weight_decay": 0.01,
            "adam_beta2": 0.98, "max_grad_norm": 1.0, "dropout": 0.0, "precision": self.args.precision,
            "attention": "auto", "compile": False, **schedule,
        }  # fmt: skip

    def train(self, recipe: dict, size: str, until, start: Path | None = None) -> tuple[float, Path]:
        """Train once.

        Returns:
            held-out loss, and the folder of its last checkpoint.
        """
        resources, name = self.args.resources, self.args.tokenizer
        work = Path(tempfile.mkdtemp(dir=self.folder))
        args = Namespace(
            recipe=recipe, work=work, checkpoint_minutes=1e9, tensorboard=None, trunk=start,
            tokenizer=resources / "tokenizer" / self.args.corpus / name, rows=self.pack / "rows.bin",
            slice=resources / "slice" / self.args.corpus / name / size / "manifest.json",
        )  # fmt: skip
        model, _, tokenizer = pretraining.load_model(args)
        trainer, plan = pretraining.train(model, tokenizer, args, "benchmark", until)
        self.tokens += pretraining.facts(trainer, plan, args, model)["tokens_here"]
        loss = pretraining.held_out_loss(model, tokenizer, recipe, self.held_out)["held_out_loss"]
        return loss, trainer.last_checkpoint()

    def linear(self, rate: float, seed: int, size: str) -> float:
        """Held-out loss of a run with linear decay after the warm-up."""
        schedule = {"schedule": "independent", "decay_ratio": 1.0, "decay_shape": "linear"}
        loss, checkpoint = self.train(self.recipe(rate, seed, **schedule), size, lambda plan: plan.steps)
        shutil.rmtree(checkpoint.parent)
        return loss

    def trunk(self, rate: float, seed: int) -> dict[str, float]:
        """Held-out loss of each size's branch."""
        schedule = {"schedule": "trunk", "decay_ratio": self.args.decay_ratio, "decay_shape": "1-sqrt"}
        recipe, losses, state = self.recipe(rate, seed, **schedule), {}, None
        for size in self.args.sizes:
            _, state = self.train(recipe, size, lambda plan: plan.rate.decay_from, state)
            losses[size], checkpoint = self.train(recipe, size, lambda plan: plan.steps, state)
            shutil.rmtree(checkpoint.parent)
        return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=Path, required=True, help="resources/ of a grid that was packed and sliced")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--tokenizer", default="wordpiece")
    parser.add_argument("--sizes", nargs="+", required=True, help="in rising order")
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-3, 2e-3, 4e-3])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--warmup", default="16k")
    parser.add_argument("--mask-rate", type=float, default=0.15)
    parser.add_argument("--decay-ratio", type=float, default=0.2)
    parser.add_argument("--precision", default="auto")
    args = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    devices.prepare()
    first, *others = args.seeds
    with tempfile.TemporaryDirectory() as folder, open("/dev/null", "w") as silence:
        setting, out = Setting(args, Path(folder)), sys.stdout
        # Trainer prints every logged loss.
        sys.stdout = silence
        tuning = {rate: {size: setting.linear(rate, first, size) for size in args.sizes} for rate in args.rates}
        best = {size: min(args.rates, key=lambda rate, size=size: tuning[rate][size]) for size in args.sizes}
        trunks = {rate: setting.trunk(rate, first) for rate in args.rates}
        shared = min(args.rates, key=lambda rate: sum(trunks[rate].values()))
        print(f"unigram baseline {setting.unigram:.3f}; trunk at rate {shared:g}", file=out)
        for rate in args.rates:
            cells = "  ".join(f"{size} {tuning[rate][size]:.4f} / {trunks[rate][size]:.4f}" for size in args.sizes)
            print(f"rate {rate:g}, linear / trunk, seed {first}: {cells}", file=out, flush=True)
        setting.tokens = 0
        linear = {size: [tuning[best[size]][size]] for size in args.sizes}
        branch = {size: [trunks[shared][size]] for size in args.sizes}
        for seed in others:
            for size in args.sizes:
                linear[size].append(setting.linear(best[size], seed, size))
        linear_tokens, setting.tokens = setting.tokens, 0
        for seed in others:
            for size, loss in setting.trunk(shared, seed).items():
                branch[size].append(loss)
        print("| size | linear (rate) | trunk | trunk - linear by seed |\n|---|---|---|---|", file=out)
        for size in args.sizes:
            difference = " ".join(f"{b - a:+.4f}" for a, b in zip(linear[size], branch[size], strict=True))
            means = [f"{statistics.mean(x):.4f} ({statistics.stdev(x):.4f})" for x in (linear[size], branch[size])]
            print(f"| {size} | {means[0]} at {best[size]:g} | {means[1]} | {difference} |", file=out)
        per_seed = linear_tokens / len(others), setting.tokens / len(others)
        print(f"trained tokens per seed: {per_seed[0]:,.0f} linear, {per_seed[1]:,.0f} trunk,", end=" ", file=out)
        print(f"{per_seed[0] / per_seed[1]:.2f} times fewer", file=out)


if __name__ == "__main__":
    main()
