"""Kill trainings at random moments, start them again with the same command, and compare their weights.

    python tests/workflow/kill.py --points 100 --ranks 2 --phase pretrain

Each round kills one training at `--points` moments, one after the other, and then lets it finish: the result must be that
of a run in one go, to the last bit. Moments are spread over start-up, training, the writing of checkpoints and the
writing of the result. Half of the kills hit every process, half the one that was started.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import tokenizer as tokenizer_program  # noqa: E402

from gridlaw import io  # noqa: E402
from gridlaw.canonical_json import canonical  # noqa: E402
from gridlaw.data import rows  # noqa: E402

WORDS = [f"{a}{b}{c}" for a in "bdgkl" for b in "aeo" for c in "mnrst"]
MODEL = {
    "model_type": "bert",
    "shape": {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "max_position_embeddings": 32},
    "config": {},
    "initializer_range": 0.05,
}
# Dropout makes the random state part of what must be restored; bf16 rounds whatever else would hide.
OPTIMISATION = {
    "batch_size": 8, "device_batch_size": 4, "learning_rate": 3e-3, "weight_decay": 0.01, "adam_beta2": 0.98,
    "max_grad_norm": 1.0, "dropout": 0.1, "precision": "bf16", "attention": "auto", "compile": False,
}  # fmt: skip


def prepare(folder: Path) -> None:
    """Write rows, a tokenizer and a task into the folder."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(4, 20))) for _ in range(400)]
    network = tokenizer_program.train({"algorithm": "wordpiece", "vocab_size": 200, "lowercase": True}, lambda: [texts])
    tokenizer = tokenizer_program.PreTrainedTokenizerFast(tokenizer_object=network, **tokenizer_program.SPECIAL)
    tokenizer.save_pretrained(folder / "tokenizer")
    special = rows.Special(tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    packer = rows.Packer(folder / "rows.bin", 32, True, special, len(tokenizer))
    packer.add(tokenizer(texts, add_special_tokens=False)["input_ids"])
    ends, tokens = packer.close()
    manifest = {
        "end": int(ends[-1]), "pad": tokenizer.pad_token_id, "dtype": "uint16", "row_length": 32,
        "corpus_tokens": int(tokens.sum()), "size_tokens": int(tokens.sum()), "rows": -(-int(ends[-1]) // 31),
    }  # fmt: skip
    io.write_json(folder / "slice.json", manifest)
    labels = rng.integers(0, 2, 200)
    task = pd.DataFrame({"text": texts[:200], "label": labels, "split": ["train"] * 150 + ["validation"] * 50})
    task.to_parquet(folder / "examples.parquet")
    io.write_json(folder / "task.json", {"classes": [0, 1]})


class Training:
    """One training program on the prepared data, with its result in a folder of its own.

    Args:
        phase: pretrain or finetune.
        ranks: of a pre-training.
    """

    def __init__(self, data: Path, folder: Path, phase: str, ranks: int = 1, passes: int = 20, minutes: float = 0.002):
        self.folder = folder
        folder.mkdir()
        common = ["--record", folder / "record.json", "--work", folder / "work", "--checkpoint-minutes", minutes]
        if phase == "pretrain":
            # Several passes: their orders are what a resume is most easily wrong about.
            recipe = OPTIMISATION | {
                "model": MODEL, "gpus": ranks, "seed": 1, "passes": passes, "mask_rate": 0.2,
                "held_out_mask_rate": 0.15, "schedule": "independent", "warmup_tokens": 1000, "decay_ratio": 0.5, "decay_shape": "1-sqrt",
            }  # fmt: skip
            self.result = folder / "model" / "model.safetensors"
            arguments = [
                "--tokenizer", data / "tokenizer", "--rows", data / "rows.bin", "--slice", data / "slice.json",
                "--model", folder / "model", "--manifest", folder / "manifest.json",
            ]  # fmt: skip
        else:
            recipe = OPTIMISATION | {
                "seeds": [1, 2], "train_examples": [60, "all"], "text": ["text"], "label": "label", "train": "train",
                "validation": ["validation"], "kind": "classification", "epochs": passes, "max_length": 32,
                "eval_batch_size": 16, "schedule": "linear", "warmup_ratio": 0.1,
            }  # fmt: skip
            self.result = folder / "predictions.parquet"
            io.write_json(folder / "model.json", {})
            arguments = [
                "--model", data / "model", "--model-manifest", folder / "model.json", "--predictions", self.result,
                "--manifest", folder / "manifest.json",
                "--examples", data / "examples.parquet", "--task", data / "task.json",
            ]  # fmt: skip
        program = SCRIPTS / f"{phase}.py"
        self.program = [program, "--recipe", canonical(recipe), *common, *arguments]

    def start(self, *launcher: str, **environment: str) -> subprocess.Popen:
        """Start the program, alone or by a launcher of ranks."""
        log = open(self.folder / "log", "ab")  # noqa: SIM115
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        command = [sys.executable, *launcher, *map(str, self.program)]
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)

    def start_nodes(self, share: int, port: int) -> list[subprocess.Popen]:
        """Start the program's ranks as two nodes would, with a torchrun each; both are this host."""
        meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{port}", "--rdzv-id", "1"]
        torchrun = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", str(share), *meeting]
        return [self.start(*torchrun) for _ in range(2)]

    def finish(self, timeout: float = 300) -> str:
        """Run to the end.

        Returns:
            digest of the result.
        """
        process = self.start()
        assert process.wait(timeout) == 0, self.log()
        assert not self.checkpoints(), "nothing is left over"
        return self.digest()

    def digest(self) -> str:
        if self.result.suffix == ".parquet":
            frame = pd.read_parquet(self.result)
            return hashlib.sha256(json.dumps(frame.to_dict("list"), default=list).encode()).hexdigest()
        return io.sha256(self.result)

    def kill(self, seconds: float, whole: bool = True, signal_: int = signal.SIGKILL) -> int | None:
        """Start, and kill after some seconds; every process, or only the one that was started.

        Returns:
            its exit status; None if it was killed.
        """
        process = self.start()
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        if whole:
            os.killpg(process.pid, signal_)
        else:
            process.send_signal(signal_)
        status = process.wait(60)
        return None if status == -signal.SIGKILL else status

    def kill_when(self, condition, timeout: float = 120) -> None:
        """Start, and kill every process as soon as the condition holds."""
        process = self.start()
        until = time.monotonic() + timeout
        while not condition() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.0005)
        assert process.poll() is None, f"ended before it could be killed:\n{self.log()}"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)

    def checkpoints(self) -> list[Path]:
        # Unlike pathlib's, this glob bears folders that vanish while it looks, and leaves hidden ones out.
        found = glob.glob(f"{self.folder}/work/**/checkpoint-*", recursive=True)
        return sorted(map(Path, found), key=lambda path: int(path.name.split("-")[1]))

    def log(self) -> str:
        return (self.folder / "log").read_text()


def model_for(data: Path) -> None:
    """The model that fine-tunings start from."""
    training = Training(data, data / "pretrained", "pretrain", passes=1)
    training.finish()
    (data / "pretrained" / "model").rename(data / "model")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phase", choices=["pretrain", "finetune"], default="pretrain")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--points", type=int, default=100, help="kills in all")
    parser.add_argument("--per-round", type=int, default=5, help="kills of one training before it may finish")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    dice = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        prepare(data)
        if args.phase == "finetune":
            model_for(data)
        started = time.monotonic()
        reference = Training(data, data / "reference", args.phase, args.ranks).finish()
        duration = time.monotonic() - started
        print(f"{args.phase}, {args.ranks} ranks: {duration:.1f} s in one go, result {reference[:12]}", flush=True)
        killed = 0
        while killed < args.points:
            training = Training(data, data / f"round-{killed}", args.phase, args.ranks)
            points = []
            for _ in range(args.per_round):
                # Start-up is the same each time; most moments are to hit what comes after it.
                moment = duration * dice.uniform(0.5, 1.05)
                if training.kill(moment, whole=dice.random() < 0.5) is None:
                    points.append(round(moment, 2))
            killed += max(1, len(points))
            same = training.finish() == reference
            resumed = training.log().count("resuming from optimizer step")
            verdict = "same" if same else "DIFFERENT"
            print(f"killed after {points} s, resumed from a checkpoint {resumed} times: {verdict}", flush=True)
            if not same:
                sys.exit(1)


if __name__ == "__main__":
    main()
