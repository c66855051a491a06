"""TensorBoard's event files. No result depends on them."""

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
    """An event file of a run, which TensorBoard sees as a folder; each number is on the disk as soon as it is written.

    If the disk is full, the numbers are lost, and the program goes on.

    Args:
        folder: the run's folder.
        name: kind of the file, without a dot; a run may have several files of each kind.
        since: numbers of earlier files are valid up to this step, and later ones will be written again; None: all are.
    """

    def __init__(self, folder: str | Path, name: str, since: int | None = None):
        self._writer = None
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            file = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}.{name}"
            self._writer = RecordWriter(open(Path(folder, file), "wb", buffering=0))  # noqa: SIM115
        except OSError as error:
            _warn(error)
        self._write(Event(file_version=VERSION))
        if since is not None:
            self._write(Event(step=since + 1, session_log=SessionLog(status=SessionLog.START)))

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """Write numbers, by tag, at a position of the horizontal axis."""
        values = [Summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
        self._write(Event(step=step, summary=Summary(value=values)))

    def close(self) -> None:
        """Close the file."""
        if self._writer:
            self._writer.close()

    def _write(self, event: Event) -> None:
        if self._writer is None:
            return
        event.wall_time = time.time()
        try:
            self._writer.write(event.SerializeToString())
        except OSError as error:
            # TensorBoard would not read past an incomplete event.
            self._writer = None
            _warn(error)


def remove(folder: str | Path, name: str = "*") -> None:
    """Remove a run's event files, all or those of one kind."""
    for file in Path(folder).glob(f"events.out.tfevents.*.{name}"):
        file.unlink(missing_ok=True)


def _warn(error: OSError) -> None:
    print(f"TensorBoard's files are incomplete: {error}", file=sys.stderr, flush=True)
