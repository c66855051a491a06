"""Checkpoints that a run continues from bit for bit, whenever it was killed.

A checkpoint appears whole or not at all: it is written under another name, flushed to the disk, sealed with the digests
of its files and renamed. Trainer itself would take any folder of the right name, and start afresh in silence where
the optimizer's file is missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import save_model
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, Trainer, TrainerCallback

from gridlaw import cli, devices, io, launch

SEAL = "seal.json"
PARTIAL = ".partial"
# The newest may be damaged by what killed the run.
KEPT = 2


class ResumableTrainer(Trainer):
    """Trainer that saves by time and at SIGTERM, and continues from the newest whole checkpoint.

    Args:
        folder: where checkpoints lie.
        fingerprint: of the run; a checkpoint with another one is foreign.
        minutes: between checkpoints.
        schedule: factor of the peak learning rate at each update.
    """

    def __init__(
        self, *args, folder: Path, fingerprint: str, minutes: float, schedule: Callable[[int], float], **kwargs
    ):
        super().__init__(*args, **kwargs)
        self.folder, self.fingerprint, self.schedule = folder, fingerprint, schedule
        self.times = StepTimes()
        self.saving = SaveByTime(60 * minutes)
        self.add_callback(self.times)
        self.add_callback(self.saving)
        if launch.rank() > 0:
            # The first rank of each node would print the same.
            self.remove_callback(PrinterCallback)

    def create_scheduler(self, num_training_steps: int, optimizer=None) -> LambdaLR:
        """The learning rate of the run's schedule."""
        # A plain function: the attributes of any other callable would come back from the checkpoint of another run.
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda step: self.schedule(step))
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def run(self, start: Path | None = None) -> None:
        """Train to the last update, from the newest checkpoint, else from `start`, else from the beginning.

        Args:
            start: a checkpoint of another run that this one goes on from.

        Raises:
            Failure: `start` is damaged.
            SystemExit: SIGTERM came; a checkpoint was saved.
        """
        checkpoint = _agreed(lambda: newest(self.folder, self.fingerprint)) or start
        if checkpoint == start and start and (wrong := problem(start)):
            raise cli.Failure(f"{start}: {wrong}; right would be to delete it, so that it is made again")
        if checkpoint:
            self.times.seconds = io.read_json(checkpoint / SEAL)["step_seconds"]
            self.state.global_step = step(checkpoint)
        self.first_step, self.resumed = self.state.global_step, checkpoint not in (None, start)
        started = time.perf_counter()
        if checkpoint and self.first_step == self.args.max_steps:
            self._load_from_checkpoint(str(checkpoint))
        else:
            with self.saving.at_sigterm():
                self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        self.seconds = time.perf_counter() - started
        done, steps = self.state.global_step, self.args.max_steps
        if done < steps:
            if launch.rank() == 0:
                print(f"SIGTERM after update {done} of {steps}; the same command continues", file=sys.stderr)
            sys.exit(launch.TERMINATED)

    def last_checkpoint(self) -> Path:
        """The checkpoint of the last update, saved now unless it is there; to be called by all ranks.

        Raises:
            Failure: it could not be written.
        """
        folder = self.folder / f"checkpoint-{self.state.global_step}"
        if self.first_step < self.state.global_step:
            self._save_checkpoint(self.model, None)
        if not folder.exists():
            raise cli.Failure(f"{folder}: could not be written")
        return folder

    def _get_output_dir(self, trial) -> str:
        return str(self.folder / PARTIAL)

    def _save_checkpoint(self, model, trial) -> None:
        """Write a checkpoint; a failure (a full disk) costs the checkpoint and not the run."""
        partial = self.folder / PARTIAL
        if launch.rank() == 0:
            shutil.rmtree(partial, ignore_errors=True)
        _barrier()
        try:
            super()._save_checkpoint(model, trial)
            problem = None
        except (OSError, RuntimeError, SafetensorError) as error:
            problem = error
            print(f"no checkpoint at update {self.state.global_step}: {error}", file=sys.stderr, flush=True)
        failed = self.saving.agree(problem is not None)
        if launch.rank() == 0:
            if not failed:
                self._publish(partial / f"checkpoint-{self.state.global_step}")
            shutil.rmtree(partial, ignore_errors=True)
        _barrier()

    def _publish(self, written: Path) -> None:
        try:
            seal(written, self.fingerprint, self.times.seconds)
        except OSError as error:
            print(f"no checkpoint at update {self.state.global_step}: {error}", file=sys.stderr, flush=True)
            return
        final = self.folder / written.name
        shutil.rmtree(final, ignore_errors=True)
        written.rename(final)
        _flush(self.folder)
        for old in _by_age(self.folder)[:-KEPT]:
            shutil.rmtree(old)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """Weights alone, tied ones once."""
        if self.args.should_save:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            save_model(self.model, str(Path(output_dir, "model.safetensors")))

    def _issue_warnings_after_load(self, load_result) -> None:
        """Tied weights were saved once; nothing else is ever missing from a sealed checkpoint."""


class SaveByTime(TrainerCallback):
    """Asks for a checkpoint when it is time, and for a last one at SIGTERM; all ranks at the same update."""

    def __init__(self, seconds: float):
        self.seconds, self.saved_at, self.sigterm = seconds, time.monotonic(), False
        # Gloo keeps the question off the GPU, which would have to finish its work before answering.
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None

    @contextmanager
    def at_sigterm(self) -> Iterator[None]:
        """Within this block SIGTERM, or what srun has for it, asks for a checkpoint and the end of training."""
        signals = (signal.SIGTERM, launch.SAVE)
        before = [signal.signal(one, lambda *_: setattr(self, "sigterm", True)) for one in signals]
        try:
            yield
        finally:
            for one, handler in zip(signals, before, strict=True):
                signal.signal(one, handler)

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        # A checkpoint brings the intervals of the run that wrote it, which may have been shorter.
        state.logging_steps, state.eval_steps, state.save_steps = args.logging_steps, args.eval_steps, args.save_steps
        self.saved_at = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        # Rank 0's clock decides, and any rank's SIGTERM.
        due = launch.rank() == 0 and time.monotonic() - self.saved_at >= self.seconds
        due, stop = self.agree(due, self.sigterm)
        control.should_save |= due or stop
        control.should_training_stop |= stop

    def on_save(self, args, state, control, **kwargs) -> None:
        self.saved_at = time.monotonic()

    def agree(self, *flags: bool):
        """What any rank says; one answer a flag."""
        if self._group is not None:
            asked = torch.tensor(flags, dtype=torch.int32)
            dist.all_reduce(asked, dist.ReduceOp.MAX, group=self._group)
            flags = tuple(bool(flag) for flag in asked.tolist())
        return flags if len(flags) > 1 else flags[0]


class StepTimes(TrainerCallback):
    """Seconds of each update, from the end of the one before, without start-up, evaluations and checkpoints."""

    # More of them would not make a median better, and they are part of every checkpoint.
    KEPT = 1000

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last: float | None = None

    def on_evaluate(self, args, state, control, **kwargs) -> None:
        self._last = time.perf_counter()

    on_save = on_evaluate

    def on_step_end(self, args, state, control, **kwargs) -> None:
        now = time.perf_counter()
        if self._last is not None:
            self.seconds = [*self.seconds[1 - self.KEPT :], now - self._last]
        self._last = now


def seal(folder: Path, fingerprint: str, step_seconds: list[float]) -> None:
    """Flush a checkpoint's files to the disk and note their digests."""
    files = sorted(file for file in folder.iterdir() if file.name != SEAL)
    for file in files:
        _flush(file)
    digests = {file.name: io.sha256(file) for file in files}
    io.write_json(folder / SEAL, {"fingerprint": fingerprint, "files": digests, "step_seconds": step_seconds})
    _flush(folder / SEAL)
    _flush(folder)


def problem(folder: Path, fingerprint: str | None = None) -> str | None:
    """What is wrong with a checkpoint, or None.

    Args:
        fingerprint: that it must have; None takes any.
    """
    try:
        sealed = io.read_json(folder / SEAL)
        if fingerprint not in (None, sealed["fingerprint"]):
            return "of another run"
        damaged = [name for name, digest in sealed["files"].items() if io.sha256(folder / name) != digest]
    except (OSError, ValueError, KeyError) as error:
        return f"not whole ({error})"
    return f"damaged ({', '.join(damaged)})" if damaged else None


def newest(folder: Path, fingerprint: str) -> Path | None:
    """The newest checkpoint that is whole and of this run; others are passed over with a word."""
    for checkpoint in reversed(_by_age(folder)):
        wrong = problem(checkpoint, fingerprint)
        if wrong is None:
            print(f"continuing from update {step(checkpoint)}", file=sys.stderr, flush=True)
            return checkpoint
        print(f"{checkpoint}: passed over, {wrong}", file=sys.stderr, flush=True)
        shutil.rmtree(checkpoint)
    return None


def step(checkpoint: Path) -> int:
    """Updates done at a checkpoint."""
    return io.read_json(checkpoint / "trainer_state.json")["global_step"]


def _by_age(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]))


def _flush(path: Path) -> None:
    """Have the disk hold a file, or a folder's list of files, so that it outlives a power cut, too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _agreed(choose: Callable[[], Path | None]) -> Path | None:
    """Rank 0's choice, on all ranks."""
    if not dist.is_initialized():
        return choose()
    choice = [choose() if launch.rank() == 0 else None]
    dist.broadcast_object_list(choice, device=devices.device())
    return choice[0]


def _barrier() -> None:
    if dist.is_initialized():
        dist.barrier()
