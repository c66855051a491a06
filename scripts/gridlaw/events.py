"""TensorBoard's event files: numbers that programs leave for people to look at. No result depends on them."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

# TensorBoard's name for the format.
VERSION = "brain.Event:2"


class Events:
    """An event file of a run, which is a folder to TensorBoard; each number is on the disk when it is written.

    A disk that is full costs what would have been written, and not the program.

    Args:
        folder: the run's.
        name: what kind of file it is, without a dot; a run may have several of each.
        since: numbers of earlier files count up to this step; those behind it are to come again. None lets all count.
    """

    def __init__(self, folder: str | Path, name: str, since: int | None = None):
        self._writer = None
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            file = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}.{name}"
            self._writer = RecordWriter(open(Path(folder, file), "wb", buffering=0))  # noqa: SIM115
        except OSError as error:
            _lost(error)
        self._write(Event(file_version=VERSION))
        if since is not None:
            self._write(Event(step=since + 1, session_log=SessionLog(status=SessionLog.START)))

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """Write numbers, by tag, at a place on the horizontal axis."""
        values = [Summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
        self._write(Event(step=step, summary=Summary(value=values)))

    def close(self) -> None:
        """Let go of the file."""
        if self._writer:
            self._writer.close()

    def _write(self, event: Event) -> None:
        if self._writer is None:
            return
        event.wall_time = time.time()
        try:
            self._writer.write(event.SerializeToString())
        except OSError as error:
            # What is cut off would hide all behind it.
            self._writer = None
            _lost(error)


def remove(folder: str | Path, name: str = "*") -> None:
    """Remove a run's event files, all or those of a name."""
    for file in Path(folder).glob(f"events.out.tfevents.*.{name}"):
        file.unlink(missing_ok=True)


def _lost(error: OSError) -> None:
    print(f"TensorBoard's files are not complete: {error}", file=sys.stderr, flush=True)
