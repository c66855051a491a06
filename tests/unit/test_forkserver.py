"""Programs that are forked are what they would be by themselves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gridlaw.runtime import forked, forkserver

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process descriptors are Linux'")

# A library that says when it is imported, and a program that uses it.
LIBRARY = "import os, pathlib\npathlib.Path(os.environ['IMPORTED']).open('a').write('x')\n"
PROGRAM = """
import json, os, sys
import library
from gridlaw import part
print(json.dumps({
    "argv": sys.argv, "cwd": os.getcwd(), "name": __name__, "path": sys.path[0], "pid": os.getpid(),
    "part": part.VALUE, "more": os.environ.get("MORE"), "input": sys.stdin.read(), "mask": os.umask(0),
}))
print("problem", file=sys.stderr)
"""


class Programs:
    """A folder of programs, and a fork server for them."""

    def __init__(self, folder: Path):
        self.folder, self.imported = folder, folder / "imported"
        package = folder / "scripts" / "gridlaw"
        package.mkdir(parents=True)
        shutil.copytree(Path(forkserver.__file__).parent, package / "runtime")
        (package / "__init__.py").touch()
        (folder / "scripts/library.py").write_text(LIBRARY)
        self.part("VALUE = 1")
        self.environment = {**os.environ, **forked.SHARED, "IMPORTED": str(self.imported)}
        starting = "import sys; from gridlaw.runtime import forkserver; print(forkserver.start(), flush=True); sys.stdin.read()"
        self.run = subprocess.Popen(
            [sys.executable, "-c", starting],
            cwd=folder, env={**self.environment, "PYTHONPATH": str(folder / "scripts")},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.client = {forked.SOCKET: self.run.stdout.readline().strip()}

    def part(self, text: str) -> None:
        """Write the project's own module; as old as any, so that no compiled one is taken for it."""
        (self.folder / "scripts/gridlaw/part.py").write_text(text)
        shutil.rmtree(self.folder / "scripts/gridlaw/__pycache__", ignore_errors=True)

    def program(self, text: str) -> str:
        path = self.folder / "scripts" / f"program{len(list(self.folder.glob('scripts/program*')))}.py"
        path.write_text(text)
        return str(path)

    def start(self, program: str, *arguments: str, **options) -> subprocess.Popen:
        """Start a program as a rule's command does."""
        command = f'"{self.folder}/scripts/gridlaw/runtime/forked.py" "$@"; exit $?'
        environment = {**self.environment, **self.client, **options.pop("environment", {})}
        return subprocess.Popen(
            ["bash", "-c", command, "bash", program, *arguments],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
        )  # fmt: skip


@pytest.fixture
def programs(tmp_path):
    made = Programs(tmp_path)
    yield made
    made.run.stdin.close()
    assert made.run.wait(10) in (0, -signal.SIGKILL)


def answer(process: subprocess.Popen, text: str = "") -> dict:
    said, problem = process.communicate(text, timeout=30)
    assert process.returncode == 0, problem
    assert problem == "problem\n"
    return json.loads(said)


def test_a_fork_is_like_the_program_itself(programs, tmp_path):
    program = programs.program(PROGRAM)
    (tmp_path / "elsewhere").mkdir()
    said = answer(programs.start(program, "a b", "", cwd=tmp_path / "elsewhere", umask=0o27), "some input")
    expected = {
        "argv": [program, "a b", ""], "cwd": str(tmp_path / "elsewhere"), "name": "__main__", "part": 1, "more": None,
        "path": str(tmp_path / "scripts"), "input": "some input", "mask": 0o27,
    }  # fmt: skip
    assert expected.items() <= said.items()


def test_libraries_are_imported_once_and_the_projects_modules_each_time(programs):
    program = programs.program(PROGRAM)
    assert answer(programs.start(program))["part"] == 1
    programs.part("VALUE = 2")
    assert answer(programs.start(program))["part"] == 2
    assert programs.imported.read_text() == "x"


def test_another_environment_has_the_program_itself(programs):
    program = programs.program(PROGRAM)
    answer(programs.start(program))
    for more in ({"MORE": "1"}, {"OMP_NUM_THREADS": "2"}):
        assert answer(programs.start(program, environment=more))["more"] == more.get("MORE")
    assert programs.imported.read_text() == "xxx"


def test_without_a_server_the_program_runs(programs):
    program = programs.program(PROGRAM)
    programs.run.stdin.close()
    programs.run.wait(10)
    assert answer(programs.start(program))["part"] == 1


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('error: no such file')", 1, "error: no such file\n"),
        ("raise ValueError('wrong')", 1, "ValueError: wrong\n"),
        ("import no_such_library", 1, "No module named 'no_such_library'\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 128 + signal.SIGSEGV, ""),
    ],
)
def test_a_client_ends_as_its_program_ends(programs, text, status, said):
    process = programs.start(programs.program(text))
    _, problem = process.communicate(timeout=30)
    assert process.returncode == status
    assert said in problem
    if said.startswith("error"):
        assert problem == said


SLEEPER = """
import os, signal, sys, time
def stop(number, _):
    print(f"got {number}", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
print(os.getpid(), flush=True)
time.sleep(600)
"""


def client_of(process: subprocess.Popen) -> int:
    """The client that a shell has started."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def is_gone(process: int) -> bool:
    for _ in range(500):
        if not Path(f"/proc/{process}").exists():
            return True
        time.sleep(0.02)
    return False


def test_signals_reach_the_program(programs):
    process = programs.start(programs.program(SLEEPER))
    process.stdout.readline()
    os.kill(client_of(process), signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert (said, process.returncode) == (f"got {signal.SIGTERM:d}\n", 7)


def test_interrupt_is_a_keyboard_interrupt(programs):
    process = programs.start(programs.program(SLEEPER))
    process.stdout.readline()
    os.kill(client_of(process), signal.SIGINT)
    _, problem = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in problem
    assert process.returncode != 0


def test_a_killed_client_takes_its_program_along(programs):
    process = programs.start(programs.program(SLEEPER))
    program = int(process.stdout.readline())
    os.kill(client_of(process), signal.SIGKILL)
    assert is_gone(program)


def test_a_killed_server_takes_its_programs_along(programs):
    process = programs.start(programs.program(SLEEPER))
    program = int(process.stdout.readline())
    server = int(Path(f"/proc/{program}/status").read_text().partition("PPid:")[2].split()[0])
    os.kill(server, signal.SIGKILL)
    _, problem = process.communicate(timeout=30)
    assert "the fork server has ended" in problem
    assert process.returncode == 1
    assert is_gone(program)


def test_programs_outlive_who_started_the_server_and_the_server_ends_with_the_last(programs):
    process = programs.start(programs.program(SLEEPER))
    program = int(process.stdout.readline())
    server = int(Path(f"/proc/{program}/status").read_text().partition("PPid:")[2].split()[0])
    programs.run.kill()
    programs.run.wait(10)
    os.kill(program, signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert (said, process.returncode) == (f"got {signal.SIGTERM:d}\n", 7)
    assert is_gone(server)
