"""A process that imports the libraries once and forks the programs of a local run from itself.

    python -P forkserver.py DESCRIPTOR     # serve on a listening socket, until standard input ends

To import torch and transformers takes 4 to 8 s of CPU time, and a small grid starts a hundred programs. The server
imports what a program's source imports when the program runs for the first time; each run is a fork, which starts in a
tenth of a second. Modules of this project are not kept: a run reads them as they are when it starts.

`forked.py` is the client. The server runs on Linux alone (process descriptors), and where no program uses CUDA, which
does not survive a fork.
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
import shlex
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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

SCRIPTS = Path(__file__).resolve().parents[1]
PACKAGE = Path(__file__).parent.name
LOG = Path("logs/forkserver.log")
# Variables that a shell sets for each command.
OF_SHELL = {"_", "PWD", "OLDPWD", "SHLVL"}
STREAMS = (0, 1, 2)
# Programs that may wait to be started; the server waits for the rest of a request no longer than that.
BACKLOG, REQUEST_SECONDS = 128, 10.0
# What is left of the server when its run has ended is not waited for any longer.
STOP_SECONDS = 5.0
# prctl(2): the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


def serves(workflow: Workflow, config: dict) -> bool:
    """Return whether a run of Snakemake may fork its programs: they run here, in its own environment, without a GPU."""
    # The server runs this file before it can find the project's modules.
    from gridlaw import gpus

    own = Path(shutil.which("python") or "").parent == Path(sys.executable).parent
    installs = workflow.deployment_settings.deployment_method
    return config["fork_programs"] and sys.platform == "linux" and own and not installs and not gpus.visible()


def start() -> str:
    """Start a server that ends with the running process.

    Returns:
        a shell function `python`, which runs programs in forks of the server.
    """
    folder = tempfile.mkdtemp(prefix="gridlaw-")
    path = f"{folder}/socket"
    LOG.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, LOG.open("w") as log:
        listener.bind(path)
        listener.listen(BACKLOG)
        # In a session of its own: a terminal's signals reach the programs through their clients.
        server = subprocess.Popen(
            [sys.executable, "-P", __file__, str(listener.fileno())],
            stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[listener.fileno()], start_new_session=True,
        )  # fmt: skip

    def stop() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        server.stdin.close()
        # A program that goes on after a run was broken off does so without it.
        with suppress(subprocess.TimeoutExpired):
            server.wait(STOP_SECONDS)

    atexit.register(stop)
    client = [sys.executable, "-ISP", str(Path(__file__).with_name("forked.py")), path]
    return f'python() {{ {shlex.join(client)} "$@"; }}\n'


@dataclass(frozen=True)
class Fork:
    """A program that runs, by its process descriptor, and the connection of its client."""

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
            in a fork of the server, the command line of the program that it is to run; in the server, None.
        """
        while self._selector.get_map():
            for key, _ in self._selector.select():
                # An event before may have ended what this one is about.
                if key.fd in self._selector.get_map() and (command := key.data()):
                    return command
        return None

    def _close(self) -> None:
        """Take no more requests: who started the server has ended."""
        self._selector.unregister(sys.stdin)
        self._selector.unregister(self._listener)
        self._listener.close()

    def _accept(self) -> list[str] | None:
        """Fork the program that a client asks for; one that is not forked finds the connection closed."""
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
        """Return whether a program's environment is that of the first one, for which libraries are imported."""
        shared = {name: value for name, value in environment.items() if name not in OF_SHELL}
        if self._environment is None:
            self._environment = shared
            os.environ.clear()
            os.environ.update(environment)
        return self._environment == shared

    def _import(self, program: Path) -> None:
        """Import what a program's source imports anywhere, and forget the project's own modules."""
        if program.name in self._imported:
            return
        self._imported.add(program.name)
        gc.disable()
        for name in _imports(program):
            # A class is no module, and a program may do without a library.
            with suppress(ImportError):
                importlib.import_module(name)
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
        # A collection would write to what forks share.
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
        """Make this fork of the server what the program's process would be."""
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
        """Tell a client how its program ended."""
        _, status = os.waitpid(fork.process, 0)
        self._selector.unregister(fork.descriptor)
        os.close(fork.descriptor)
        self._leave(fork.client)
        with suppress(OSError):
            fork.client.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        fork.client.close()
        self._forks.remove(fork)

    def _kill(self, fork: Fork) -> None:
        """Kill the program of a client that is gone."""
        self._leave(fork.client)
        signal.pidfd_send_signal(fork.descriptor, signal.SIGKILL)

    def _leave(self, client: socket.socket) -> None:
        with suppress(KeyError):
            self._selector.unregister(client)


def _imports(program: Path) -> Iterator[str]:
    """Names of the modules that a program's source imports, and of what it takes from them, which may be modules."""
    for node in ast.walk(ast.parse(program.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def main() -> None:
    """Serve; in a fork, run its program."""
    # The folder of a program is the first that its modules are looked for in.
    sys.path.insert(0, str(SCRIPTS))
    command = Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    if command:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main()
