"""A process that imports the libraries once, and forks the programs of a local run.

    python -P forkserver.py DESCRIPTOR     # serve on a listening socket, until standard input ends

Importing torch and transformers takes 4 to 8 s of CPU time, and a small grid starts a hundred programs. The first time
that a program runs, the server imports the libraries that its source imports. Each run is then a fork, which starts in
a tenth of a second. The project's own modules are not kept, so a run reads their current source.

`forked.py` is the client. The server needs Linux (process descriptors), and no program may use CUDA, which does not
survive a fork.
"""

from __future__ import annotations

import ast
import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2]
PACKAGE = Path(__file__).resolve().parents[1].name
# Runs a program in a fork, like `python`.
CLIENT = Path(__file__).resolve().with_name("forked.py")
LOG = Path("logs/forkserver.log")
# Variables that a shell sets for each command.
SHELL_VARIABLES = {"_", "PWD", "OLDPWD", "SHLVL"}
STREAMS = (0, 1, 2)
# Number of programs that may wait to start, and seconds that the server waits for the rest of a request.
BACKLOG, REQUEST_SECONDS = 128, 10.0
# Seconds to wait for the end of the server at the end of a run.
STOP_SECONDS = 5.0
# prctl(2): set the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


def start() -> str:
    """Start a server that ends with this process, and return the path of its socket."""
    folder = tempfile.mkdtemp(prefix="gridlaw-")
    path = f"{folder}/socket"
    LOG.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, LOG.open("w") as log:
        listener.bind(path)
        listener.listen(BACKLOG)
        # In its own session: signals of a terminal reach the programs through their clients.
        server = subprocess.Popen(
            [sys.executable, "-P", __file__, str(listener.fileno())],
            stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[listener.fileno()], start_new_session=True,
        )  # fmt: skip

    def stop() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        server.stdin.close()
        # Programs that still run after an aborted run do not need the server.
        with suppress(subprocess.TimeoutExpired):
            server.wait(STOP_SECONDS)

    atexit.register(stop)
    return path


@dataclass(frozen=True)
class Fork:
    """A running program: its process, its process descriptor, and the connection to its client."""

    process: int
    descriptor: int
    client: socket.socket


class Server:
    """Forks programs on request.

    Args:
        listener: a listening socket.
    """

    def __init__(self, listener: socket.socket):
        self._listener = listener
        self._environment: dict[str, str] | None = None
        self._imported: set[str] = set()
        self._forks: set[Fork] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._selector.register(sys.stdin, selectors.EVENT_READ, self._close)

    def serve(self) -> list[str] | None:
        """Serve until standard input ends and no program runs.

        Returns:
            in a fork of the server, the command line of the program to run; in the server, None.
        """
        while self._selector.get_map():
            for key, _ in self._selector.select():
                # An earlier event may have unregistered this one's source.
                if key.fd in self._selector.get_map() and (command := key.data()):
                    return command
        return None

    def _close(self) -> None:
        """Accept no more requests: the process that started the server has ended."""
        self._selector.unregister(sys.stdin)
        self._selector.unregister(self._listener)
        self._listener.close()

    def _accept(self) -> list[str] | None:
        """Fork the program that a client requests; if this is not possible, close the connection."""
        client, _ = self._listener.accept()
        client.settimeout(REQUEST_SECONDS)
        streams: list[int] = []
        try:
            message, streams, _, _ = socket.recv_fds(client, 1 << 16, len(STREAMS))
            while message and not message.endswith(b"\n"):
                message += client.recv(1 << 16)
            request = json.loads(message)
        except (OSError, ValueError):
            request = None
        command = None
        if request and self._shares(request["environment"]):
            self._import(Path(request["command"][0]))
            command = self._fork(client, request, streams)
        else:
            client.close()
        for stream in streams:
            os.close(stream)
        return command

    def _shares(self, environment: dict[str, str]) -> bool:
        """Return whether a program's environment equals that of the first, in which the libraries were imported."""
        shared = {name: value for name, value in environment.items() if name not in SHELL_VARIABLES}
        if self._environment is None:
            self._environment = shared
            os.environ.clear()
            os.environ.update(environment)
        return self._environment == shared

    def _import(self, program: Path) -> None:
        """Import all libraries that a program's source imports, and forget the project's own modules."""
        if program.name in self._imported:
            return
        self._imported.add(program.name)
        gc.disable()
        for name in _imports(program):
            # A name may be a class, or a library that is not installed.
            with suppress(ImportError):
                importlib.import_module(name)
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
        # Garbage collection would write to memory pages that forks share.
        gc.freeze()
        gc.enable()

    def _fork(self, client: socket.socket, request: dict, streams: list[int]) -> list[str] | None:
        process = os.fork()
        if not process:
            return self._become(client, request, streams)
        fork = Fork(process, os.pidfd_open(process), client)
        self._forks.add(fork)
        self._selector.register(fork.descriptor, selectors.EVENT_READ, lambda: self._reap(fork))
        self._selector.register(client, selectors.EVENT_READ, lambda: self._kill(fork))
        with suppress(OSError):
            client.sendall(b"%d\n" % process)
        return None

    def _become(self, client: socket.socket, request: dict, streams: list[int]) -> list[str]:
        """Give this fork the streams, folder and environment of the program."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        self._selector.close()
        self._listener.close()
        client.close()
        for fork in self._forks:
            fork.client.close()
            os.close(fork.descriptor)
        for target, stream in zip(STREAMS, streams, strict=True):
            os.dup2(stream, target)
        os.chdir(request["directory"])
        os.umask(request["umask"])
        os.environ.update(request["environment"])
        return request["command"]

    def _reap(self, fork: Fork) -> None:
        """Send a client the exit status of its program."""
        _, status = os.waitpid(fork.process, 0)
        self._selector.unregister(fork.descriptor)
        os.close(fork.descriptor)
        self._unregister(fork.client)
        with suppress(OSError):
            fork.client.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        fork.client.close()
        self._forks.remove(fork)

    def _kill(self, fork: Fork) -> None:
        """Kill the program of a client that has ended."""
        self._unregister(fork.client)
        signal.pidfd_send_signal(fork.descriptor, signal.SIGKILL)

    def _unregister(self, client: socket.socket) -> None:
        with suppress(KeyError):
            self._selector.unregister(client)


def _imports(program: Path) -> Iterator[str]:
    """Yield the names of the modules that a program imports, and of the objects, which may be modules, from them."""
    for node in ast.walk(ast.parse(program.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def main() -> None:
    """Serve; in a fork, run the program."""
    # As if the program had been started by `python PROGRAM`.
    sys.path.insert(0, str(SCRIPTS))
    command = Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    if command:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
