#!/usr/bin/env -S python -ISP
"""Run a program in a fork of the fork server, like `python PROGRAM ...`, but without the time for imports.

    GRIDLAW_SOCKET=SOCKET forked.py PROGRAM ...

This process represents the program. The program gets its streams, working directory, environment and signals, and is
killed if this process is killed; this process ends with the program's exit status. Without a server, or if the server
has another environment, this process becomes the program itself.

Only a few modules of the standard library are imported, so that the program starts at once.
"""

import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress

# Variable of the environment: the server's socket.
SOCKET = "GRIDLAW_SOCKET"
# Programs with several threads, or with access to the network, have other values and are not forked.
SHARED = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
STREAMS = (0, 1, 2)
# Bytes to read at once. The server sends a process number and an exit status, each on a line.
ANSWERS = 256


def main() -> None:
    """Run the program on the command line."""
    path, command = os.environ[SOCKET], sys.argv[1:]
    connection = socket.socket(socket.AF_UNIX)
    signals = collect()
    if not start(connection, path, command):
        become(command, signals)
    answers = b""
    while answers.count(b"\n") < 2:
        waited_for = [connection, signals] if answers else [connection]
        ready, _, _ = select.select(waited_for, [], [])
        if connection in ready:
            answer = connection.recv(ANSWERS)
            if not answer:
                break
            answers += answer
        else:
            forward(signals.recv(ANSWERS), int(answers))
    if not answers:
        become(command, signals)
    _, status, *_ = answers.split(b"\n")
    if not status:
        sys.exit(f"error: {command[0]}: the fork server has ended, and the program with it")
    end(int(status))


def collect() -> socket.socket:
    """Return a socket from which the numbers of arriving signals can be read; the signals have no other effect.

    With a handler instead, a signal just before the call that waits would have no effect until the program ends.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(os.dup(sender.fileno()))
    for number in FORWARDED:
        signal.signal(number, lambda *_: None)
    receiver.setblocking(False)
    return receiver


def start(connection: socket.socket, path: str, command: list[str]) -> bool:
    """Ask the server at `path` to start a program; return whether the request was sent."""
    if not os.environ.items() >= SHARED.items():
        return False
    mask = os.umask(0)
    os.umask(mask)
    request = {"command": command, "directory": os.getcwd(), "umask": mask, "environment": dict(os.environ)}  # noqa: PTH109
    message = json.dumps(request).encode() + b"\n"
    try:
        connection.connect(path)
        sent = socket.send_fds(connection, [message], STREAMS)
        connection.sendall(message[sent:])
    except OSError:
        return False
    return True


def forward(numbers: bytes, process: int) -> None:
    """Forward signals to the program."""
    for number in numbers:
        # The program may have ended meanwhile; its status will arrive.
        with suppress(ProcessLookupError):
            os.kill(process, number)


def become(command: list[str], signals: socket.socket) -> None:
    """Replace this process by the program, and deliver the signals that arrived before."""
    for number in FORWARDED:
        signal.signal(number, signal.SIG_DFL)
    with suppress(BlockingIOError):
        forward(signals.recv(ANSWERS), os.getpid())
    os.execv(sys.executable, [sys.executable, *command])


def end(status: int) -> None:
    """End with the program's exit status; a negative one is the number of the signal that ended it."""
    if status < 0:
        # SIGKILL has no handler.
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
