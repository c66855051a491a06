"""Checkpoints from which a run resumes bit for bit, whenever it was killed.

A checkpoint appears complete or not at all: it is written under another name, flushed to the disk, sealed with the
digests of its files, and renamed. Trainer alone would accept any folder of the right name, and would silently start
with a new optimizer if the optimizer's file were missing.
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

from gridlaw import cli, io
from gridlaw.runtime import launch
from gridlaw.training import devices

SEAL = "seal.json"
PARTIAL = ".partial"
# Number of checkpoints to keep. Whatever killed the run may have damaged the newest one.
KEPT = 2


class ResumableTrainer(Trainer):
    """Trainer that saves at regular times and at SIGTERM, and resumes from the newest complete checkpoint.

    Args:
        folder: folder of the checkpoints.
        fingerprint: the run's fingerprint; checkpoints with another one belong to other runs.
        minutes: time between checkpoints.
        schedule: factor of the peak learning rate at each optimizer step.
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
            # Trainer prints on the first rank of each node; one is enough.
            self.remove_callback(PrinterCallback)

    def create_scheduler(self, num_training_steps: int, optimizer=None) -> LambdaLR:
        """Return the learning-rate scheduler of the run."""
        # A lambda has no state; the attributes of other callables would be restored from the checkpoint of another run.
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, lambda step: self.schedule(step))
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def run(self, start: Path | None = None) -> None:
        """Train to the last optimizer step, from the newest checkpoint, else from `start`, else from the beginning.

        Args:
            start: a checkpoint of another run, which this run continues.

        Raises:
            Failure: `start` is damaged.
            SystemExit: the process got SIGTERM; a checkpoint was saved.
        """
        checkpoint = _broadcast(lambda: newest(self.folder, self.fingerprint)) or start
        if checkpoint == start and start and (fault := problem(start)):
            raise cli.Failure(f"{start}: {fault}; delete it, and run the same command to make it again")
        if checkpoint:
            self.times.seconds = io.read_json(checkpoint / SEAL)["step_seconds"]
            self.state.global_step = step(checkpoint)
        self.first_step, self.resumed = self.state.global_step, checkpoint not in (None, start)
        started = time.perf_counter()
        if checkpoint and self.first_step == self.args.max_steps:
            self._load_from_checkpoint(str(checkpoint))
        else:
            with self.saving.catch_sigterm():
                self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        self.seconds = time.perf_counter() - started
        done, steps = self.state.global_step, self.args.max_steps
        if done < steps:
            if launch.rank() == 0:
                print(f"SIGTERM after optimizer step {done} of {steps}; the same command resumes", file=sys.stderr)
            sys.exit(launch.TERMINATED)

    def last_checkpoint(self) -> Path:
        """Return the checkpoint of the last optimizer step, and save it if necessary; all ranks must call this.

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
        """Write a checkpoint; if this fails (a full disk), the run goes on without it."""
        partial = self.folder / PARTIAL
        if launch.rank() == 0:
            shutil.rmtree(partial, ignore_errors=True)
        _barrier()
        try:
            super()._save_checkpoint(model, trial)
            problem = None
        except (OSError, RuntimeError, SafetensorError) as error:
            problem = error
            print(f"no checkpoint at optimizer step {self.state.global_step}: {error}", file=sys.stderr, flush=True)
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
            print(f"no checkpoint at optimizer step {self.state.global_step}: {error}", file=sys.stderr, flush=True)
            return
        final = self.folder / written.name
        shutil.rmtree(final, ignore_errors=True)
        written.rename(final)
        _flush(self.folder)
        for old in _by_age(self.folder)[:-KEPT]:
            shutil.rmtree(old)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """Save the weights only, tied ones once."""
        if self.args.should_save:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            save_model(self.model, str(Path(output_dir, "model.safetensors")))

    def _issue_warnings_after_load(self, load_result) -> None:
        """Do nothing: of a sealed checkpoint only the copies of tied weights are missing, which were saved once."""


class SaveByTime(TrainerCallback):
    """Requests checkpoints at regular times, and a last one at SIGTERM; all ranks at the same optimizer step."""

    def __init__(self, seconds: float):
        self.seconds, self.saved_at, self.sigterm = seconds, time.monotonic(), False
        # Gloo communicates between CPUs, so the GPU does not have to finish its work first.
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None

    @contextmanager
    def catch_sigterm(self) -> Iterator[None]:
        """Let SIGTERM, or the signal that stands for it under srun, save and end the training within the block."""
        signals = (signal.SIGTERM, launch.SAVE)
        handlers = [signal.signal(number, lambda *_: setattr(self, "sigterm", True)) for number in signals]
        try:
            yield
        finally:
            for number, handler in zip(signals, handlers, strict=True):
                signal.signal(number, handler)

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        # A checkpoint restores the intervals of the run that wrote it, which may have been a shorter one.
        state.logging_steps, state.eval_steps, state.save_steps = args.logging_steps, args.eval_steps, args.save_steps
        self.saved_at = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        # The clock of rank 0 decides, or SIGTERM on any rank.
        due = launch.rank() == 0 and time.monotonic() - self.saved_at >= self.seconds
        due, stop = self.agree(due, self.sigterm)
        control.should_save |= due or stop
        control.should_training_stop |= stop

    def on_save(self, args, state, control, **kwargs) -> None:
        self.saved_at = time.monotonic()

    def agree(self, *flags: bool):
        """Return for each flag whether it is set on any rank."""
        if self._group is not None:
            values = torch.tensor(flags, dtype=torch.int32)
            dist.all_reduce(values, dist.ReduceOp.MAX, group=self._group)
            flags = tuple(map(bool, values.tolist()))
        return flags if len(flags) > 1 else flags[0]


class StepTimes(TrainerCallback):
    """Seconds of each optimizer step, without start-up, evaluations and checkpoints."""

    # Enough for a median; they are part of every checkpoint.
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
    """Flush a checkpoint's files to the disk, and write their digests into it."""
    files = sorted(file for file in folder.iterdir() if file.name != SEAL)
    for file in files:
        _flush(file)
    digests = {file.name: io.sha256(file) for file in files}
    io.write_json(folder / SEAL, {"fingerprint": fingerprint, "files": digests, "step_seconds": step_seconds})
    _flush(folder / SEAL)
    _flush(folder)


def problem(folder: Path, fingerprint: str | None = None) -> str | None:
    """Return what is wrong with a checkpoint; None if it is complete.

    Args:
        fingerprint: the expected fingerprint; None accepts any.
    """
    try:
        content = io.read_json(folder / SEAL)
        if fingerprint not in (None, content["fingerprint"]):
            return "it belongs to another run"
        damaged = [name for name, digest in content["files"].items() if io.sha256(folder / name) != digest]
    except (OSError, ValueError, KeyError) as error:
        return f"incomplete ({error})"
    return f"damaged ({', '.join(damaged)})" if damaged else None


def newest(folder: Path, fingerprint: str) -> Path | None:
    """Return the newest complete checkpoint of this run; delete newer ones that are not, with a message."""
    for checkpoint in reversed(_by_age(folder)):
        fault = problem(checkpoint, fingerprint)
        if fault is None:
            print(f"resuming from optimizer step {step(checkpoint)}", file=sys.stderr, flush=True)
            return checkpoint
        print(f"{checkpoint}: not used, {fault}", file=sys.stderr, flush=True)
        shutil.rmtree(checkpoint)
    return None


def step(checkpoint: Path) -> int:
    """Return the number of optimizer steps done at a checkpoint."""
    return io.read_json(checkpoint / "trainer_state.json")["global_step"]


def _by_age(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]))


def _flush(path: Path) -> None:
    """Flush a file, or a folder's list of files, to the disk, so that it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _broadcast(choose: Callable[[], Path | None]) -> Path | None:
    """Return rank 0's choice on all ranks."""
    if not dist.is_initialized():
        return choose()
    choice = [choose() if launch.rank() == 0 else None]
    dist.broadcast_object_list(choice, device=devices.device())
    return choice[0]


def _barrier() -> None:
    if dist.is_initialized():
        dist.barrier()
