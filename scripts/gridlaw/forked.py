"""Run a program in a fork of the fork server; the same as `python PROGRAM ...`, but for the time that imports take.

    python -ISP forked.py SOCKET PROGRAM ...

This process stands for the program, which has its streams, working directory and environment, gets the signals that it
gets, and is killed when it is killed; it ends as the program ends. Without a server, and for a program whose
environment the server does not have, it becomes the program itself.

Only the standard library is imported, and little of it: a program should start at once.
"""

import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress

# Programs of several threads, and those that may use the network, have environments of their own.
SHARED = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
STREAMS = (0, 1, 2)
# Answers are a process number and an exit status, each on a line.
ANSWERS = 256


def main() -> None:
    """Run the program that the command line names."""
    path, *command = sys.argv[1:]
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
            pass_on(signals.recv(ANSWERS), int(answers))
    if not answers:
        become(command, signals)
    _, status, *_ = answers.split(b"\n")
    if not status:
        sys.exit(f"error: {command[0]}: the fork server is gone, and the program with it")
    end(int(status))


def collect() -> socket.socket:
    """Have the numbers of signals that come written to a socket, which is returned; nothing else comes of them.

    A handler would leave a signal that comes just before this process waits until the program has ended.
    """
    came, written = socket.socketpair()
    written.setblocking(False)
    signal.set_wakeup_fd(os.dup(written.fileno()))
    for one in PASSED_ON:
        signal.signal(one, lambda *_: None)
    came.setblocking(False)
    return came


def start(connection: socket.socket, path: str, command: list[str]) -> bool:
    """Ask the server in `path` to start a program; whether it could be asked."""
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


def pass_on(numbers: bytes, process: int) -> None:
    """Pass signals on to the program."""
    for number in numbers:
        # A program that has ended meanwhile needs none; its status is on the way.
        with suppress(ProcessLookupError):
            os.kill(process, number)


def become(command: list[str], signals: socket.socket) -> None:
    """Run a program in this very process, with signals that came before."""
    for one in PASSED_ON:
        signal.signal(one, signal.SIG_DFL)
    with suppress(BlockingIOError):
        pass_on(signals.recv(ANSWERS), os.getpid())
    os.execv(sys.executable, [sys.executable, *command])


def end(status: int) -> None:
    """End with a status as the program did, or by the signal that ended it, whose number is then negative."""
    if status < 0:
        # SIGKILL has no handler to be reset.
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
