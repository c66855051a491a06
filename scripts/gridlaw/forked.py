"""Run a program in a fork of the fork server; the same as `python PROGRAM ...`, but for the time that imports take.

    python -ISP forked.py SOCKET PROGRAM ...

This process stands for the program, which has its streams, working directory and environment, gets the signals that it
gets, and is killed when it is killed; it ends as the program ends. Without a server, and for a program whose
environment the server does not have, it becomes the program itself.

Only the standard library is imported, and little of it: a program should start at once.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress

# Programs of several threads, and those that may use the network, have environments of their own.
SHARED = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
STREAMS = (0, 1, 2)


def main() -> None:
    """Run the program that the command line names."""
    path, *command = sys.argv[1:]
    connection = socket.socket(socket.AF_UNIX)
    answers = connection.makefile()
    process = start(connection, path, command) and answers.readline()
    if not process:
        os.execv(sys.executable, [sys.executable, *command])
    for one in PASSED_ON:
        signal.signal(one, lambda number, _: pass_on(number, int(process)))
    status = answers.readline()
    if not status:
        sys.exit(f"error: {command[0]}: the fork server is gone, and the program with it")
    end(int(status))


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


def pass_on(number: int, process: int) -> None:
    """Pass a signal on to the program."""
    # A program that has ended meanwhile needs no signal; its status is on the way.
    with suppress(ProcessLookupError):
        os.kill(process, number)


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
