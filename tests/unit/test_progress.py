"""Progress of a grid: no dead training is shown as running, and the lines are few."""

import io
import json
import os
import queue
import re
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import progress
import pytest
from conftest import configuration, finish
from filelock import SoftFileLease
from snakemake.logging import logger
from snakemake.settings.enums import Quietness

from gridlaw.hooks.preview import Preview
from gridlaw.runtime import heartbeat, work
from gridlaw.runtime.heartbeat import Beat, Heartbeat, Unit
from gridlaw.views.estimate_text import Limits
from gridlaw.views.grid_progress import Progress, Run, stamp
from gridlaw.views.reporter import Pace, Reporter
from gridlaw.views.terminal import Terminal
from gridlaw.workflow import work_folder
from gridlaw.workflow.status import Verdicts
from gridlaw.workflow.steps import Steps

GRID = {
    "models": ["tiny", "small"],
    "sizes": ["1k", "8k"],
    "gpus": [1],
    "tasks": ["sentiment"],
    "seeds": {"pretrain": [1], "finetune": [1, 2]},
    "exclude": [],
}
TOKENS = Unit("tokens", 1000.0)


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {step.name: step for step in Steps(configuration(GRID))}


def data(steps):
    for step in steps.values():
        if step.rule in ("corpus", "segments", "tokenizer", "pack", "slice", "task", "baseline"):
            finish(step)


def tell(step, done, total, seconds, unit=TOKENS):
    """Write the heartbeat of a training that did some steps in some seconds, and nothing since."""
    Path(step.work).mkdir(parents=True, exist_ok=True)
    clock = Clock()
    beat = Heartbeat(step.work, total, unit, clock)
    beat.beat(0)
    clock.now = seconds
    beat.beat(done)


@contextmanager
def training(step):
    """While a training holds its work folder; this process is the training."""
    Path(step.work).mkdir(parents=True, exist_ok=True)
    work._append(Path(step.work), {"started": "1", "host": "here", "pid": os.getpid()})
    with SoftFileLease(f"{step.work}.lease", lease_duration=work_folder.LEASE_SECONDS):
        yield


def seen(run=None):
    found = Progress(configuration(GRID), run)
    found.look()
    return found


class TestHeartbeat:
    def test_it_is_told_every_few_seconds_and_at_the_end(self, tmp_path, clock):
        beat = Heartbeat(tmp_path, 100, TOKENS, clock)
        told = []
        for done in range(101):
            clock.now = done / 10
            beat.beat(done)
            told.append(Beat.read(tmp_path).done)
        assert sorted(set(told)) == [0, 50, 100]

    def test_the_pace_is_that_of_the_last_minute(self, tmp_path, clock):
        beat = Heartbeat(tmp_path, 1000, TOKENS, clock)
        for done in range(200):
            # The first updates are slow, as where kernels are compiled.
            clock.now += 10.0 if done < 10 else 5.0
            beat.beat(done)
        found = Beat.read(tmp_path)
        assert found.steps_per_second == pytest.approx(0.2)
        assert found.per_second == pytest.approx(200)
        assert found.seconds_left == pytest.approx(801 * 5, abs=5)

    def test_nothing_is_known_before_an_update(self, tmp_path, clock):
        Heartbeat(tmp_path, 10, TOKENS, clock).beat(3)
        found = Beat.read(tmp_path)
        assert (found.share, found.per_second, found.seconds, found.seconds_left) == (0.3, None, None, None)

    def test_a_disk_without_room_ends_nothing(self, tmp_path, clock, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        Heartbeat(tmp_path, 10, TOKENS, clock).beat(3)
        assert Beat.read(tmp_path) is None

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"done": 3}', "null"])
    def test_what_is_no_heartbeat_is_none(self, tmp_path, text):
        (tmp_path / heartbeat.FILE).write_text(text)
        assert Beat.read(tmp_path) is None

    def test_it_ends_with_its_attempt(self, tmp_path):
        Heartbeat(tmp_path, 10, TOKENS).beat(3)
        (tmp_path / f".{heartbeat.FILE}.123").write_text("cut off")
        heartbeat.clear(tmp_path)
        heartbeat.clear(tmp_path)
        assert not list(tmp_path.iterdir())


class TestProgress:
    def test_a_new_grid(self, steps):
        assert seen().line() == "0 of 4 cells and 0 of 8 trainings done"

    def test_a_finished_grid(self, steps):
        for step in steps.values():
            finish(step)
        found = seen()
        assert found.is_over
        assert found.line() == "4 of 4 cells and 8 of 8 trainings done"

    def test_a_training_that_runs(self, steps):
        data(steps)
        with training(steps["pretrain tiny 8k 1 1"]):
            tell(steps["pretrain tiny 8k 1 1"], 25, 100, 50)
            (row,) = seen().lines(Terminal(120))[1:]
        assert re.fullmatch(r"  pretrain tiny 8k 1 1   25 %   500 tokens/s   1\d\d s left|.*2.5 min left", row)

    @pytest.mark.parametrize("width", [40, 120])
    def test_no_line_is_wider_than_the_terminal(self, steps, width):
        data(steps)
        one, two = steps["pretrain small 8k 1 1"], steps["pretrain tiny 1k 1 1"]
        with training(one), training(two), training(steps["pretrain tiny 8k 1 1"]):
            tell(one, 25, 100, 50)
            tell(two, 100, 100, 5, Unit("tokens", 123456.0))
            lines = seen().lines(Terminal(width), "progress: ")
        assert max(map(len, lines)) <= width
        whole = " ".join(lines)
        assert "3 running; about" in re.sub(r"\s+", " ", whole)
        assert ("tokens/s" in whole) == (width == 120)
        assert re.search(r"small 8k 1 1 .*2.5 min left", lines[-2])
        assert lines[-3].endswith("starting"), "what is not known yet comes first"
        assert lines[-1].endswith("finishing"), "what ends first comes last"

    def test_more_than_anyone_reads(self, steps, monkeypatch):
        monkeypatch.setattr("gridlaw.views.grid_progress.SHOWN", 1)
        data(steps)
        with training(steps["pretrain small 8k 1 1"]), training(steps["pretrain tiny 8k 1 1"]):
            assert seen().lines(Terminal(120))[-1] == "  and 1 more"

    def test_a_dead_training_does_not_run(self, steps):
        data(steps)
        step = steps["pretrain tiny 8k 1 1"]
        with training(step):
            tell(step, 25, 100, 50)
            lease = Path(f"{step.work}.lease").read_bytes()
        # Killed, it would have left its lease, with a process that is not there any more.
        gone = 2**22 - 1
        Path(f"{step.work}.lease").write_bytes(lease.replace(str(os.getpid()).encode(), str(gone).encode()))
        with suppress(ProcessLookupError):
            os.kill(gone, 0)
            pytest.skip("there is a process of this number")
        assert seen().running == {}

    def test_a_dead_training_of_another_machine_does_not_run_for_long(self, steps, monkeypatch):
        data(steps)
        step = steps["pretrain tiny 8k 1 1"]
        with training(step):
            tell(step, 25, 100, 50)
            lease = Path(f"{step.work}.lease").read_bytes()
        file = Path(f"{step.work}.lease")
        host = os.uname().nodename.encode()
        file.write_bytes(lease.replace(host, b"elsewhere"))
        assert list(seen().running) != []
        old = time.time() - work_folder.LEASE_SECONDS - 1
        os.utime(file, (old, old))
        assert seen().running == {}

    def test_one_that_says_nothing_is_not_said_to_go_on(self, steps):
        data(steps)
        step = steps["pretrain tiny 8k 1 1"]
        with training(step):
            tell(step, 25, 100, 50)
            old = time.time() - 600
            os.utime(Path(step.work, heartbeat.FILE), (old, old))
            row = seen().lines(Terminal(120))[1]
        assert "silent for 10 min" in row
        assert "tokens/s" not in row

    def test_what_is_finished_meanwhile(self, steps):
        data(steps)
        found = seen()
        finish(steps["pretrain tiny 8k 1 1"])
        found.look()
        assert found.line().startswith("0 of 4 cells and 1 of 8 trainings done")
        finish(steps["finetune tiny 8k 1 1 sentiment"])
        finish(steps["score tiny 8k 1"])
        found.look()
        assert found.line().startswith("1 of 4 cells and 2 of 8 trainings done")

    def test_a_result_that_is_made_again(self, steps):
        for step in steps.values():
            finish(step)
        step = steps["pretrain tiny 8k 1 1"]
        run = Run({step.record: stamp(step.record)}, Limits(cores=1), time.time(), False)
        found = seen(run)
        assert not found.is_over, "its old record does not count"
        Path(step.record).unlink()
        finish(step)
        found.look()
        assert found.is_over

    def test_what_was_made_before_anyone_looked(self, steps):
        step = steps["corpus toy"]
        run = Run({step.record: stamp(step.record)}, Limits(cores=1), time.time(), False)
        finish(step)
        assert seen(run).is_over

    def test_what_failed(self, steps):
        data(steps)
        step = steps["pretrain tiny 8k 1 1"]
        Path(step.log).parent.mkdir(parents=True)
        Path(step.log).write_text("error: no\n")
        assert ", 1 failed" in seen().line()
        planned = dict.fromkeys([one.record for one in steps.values()])
        assert "failed" in seen(Run(planned, Limits(cores=1), time.time() - 60, False)).line()
        assert "failed" not in seen(Run(planned, Limits(cores=1), time.time() + 60, False)).line(), "that was before"

    @pytest.mark.parametrize("retries", [True, False])
    def test_what_was_killed_has_failed_if_nobody_tries_again(self, steps, retries):
        data(steps)
        step = steps["pretrain tiny 8k 1 1"]
        with training(step):
            tell(step, 25, 100, 50)
        Path(step.log).parent.mkdir(parents=True)
        Path(step.log).write_text("so far so good\n")
        found = seen(Run(dict.fromkeys([step.record]), Limits(cores=1), time.time() - 60, retries))
        assert (", 1 failed" in found.line()) == (not retries)


class TestEstimate:
    def run(self, steps):
        return Run(dict.fromkeys(step.record for step in steps.values()), Limits(cores=1), time.time(), False)

    def test_nothing_is_said_where_nothing_is_known(self, steps):
        data(steps)
        assert "left" not in seen(self.run(steps)).line()

    def test_the_rest_goes_as_those_that_run(self, steps):
        data(steps)
        step = steps["pretrain tiny 8k 1 1"]
        with training(step):
            lefts = []
            for seconds in (100, 1000):
                tell(step, 50, 100, seconds)
                found = seen(self.run(steps))
                assert "; about" in found.line()
                lefts.append(found.estimate().seconds)
        by_name = [{of.name: span.middle for of, span in left.items()} for left in lefts]
        assert by_name[0]["pretrain tiny 8k 1 1"] == pytest.approx(100, abs=2), "half of it is left"
        slower = {name: by_name[1][name] / by_name[0][name] for name in by_name[0]}
        assert slower["pretrain small 8k 1 1"] == pytest.approx(10)
        assert slower["score tiny 8k 1"] == 1, "what does not train does not depend on it"

    def test_finished_trainings_tell_better(self, steps):
        data(steps)
        facts = {
            "device": "cpu",
            "steps": 10,
            "steps_here": 10,
            "train_seconds": 7.0,
            "flops": 1e9,
            "wall_seconds": 9.0,
        }
        finish(steps["pretrain tiny 1k 1 1"], **facts)
        found = seen(self.run(steps))
        before = {step.name: span.middle for step, span in found.estimate().seconds.items()}
        assert "; about" in found.line()
        finish(steps["pretrain small 1k 1 1"], **facts | {"train_seconds": 70.0})
        found.look()
        after = {step.name: span.middle for step, span in found.estimate().seconds.items()}
        assert after["pretrain small 8k 1 1"] > 5 * before["pretrain small 8k 1 1"], "it learns while it looks"

    def test_what_a_failure_holds_up_is_not_waited_for(self, steps):
        data(steps)
        step = steps["pretrain tiny 8k 1 1"]
        Path(step.log).parent.mkdir(parents=True)
        Path(step.log).write_text("error: no\n")
        left = {one.name for one in seen().estimate().seconds} if seen().estimate() else set()
        with training(steps["pretrain tiny 1k 1 1"]):
            tell(steps["pretrain tiny 1k 1 1"], 50, 100, 100)
            left = {one.name for one in seen().estimate().seconds}
        assert "pretrain tiny 1k 1 1" in left
        assert not left & {"pretrain tiny 8k 1 1", "finetune tiny 8k 1 1 sentiment", "report"}


class Grid:
    """A grid as a reporter sees it."""

    def __init__(self):
        self.cells_done = self.trainings_done = 0
        self.running, self.failed, self.is_over = {}, set(), False
        self.seconds_left = None

    def look(self):
        pass

    def estimate(self):
        return self.seconds_left

    def line(self):
        return f"{self.cells_done} cells"

    def lines(self, terminal, head):
        return [head + self.line(), "  a training"]


class Screen(io.StringIO):
    def isatty(self):
        return True

    def fileno(self):
        raise OSError


def reports(grid, clock, stream, seconds, happens):
    """When something is said, looking every five seconds, and what."""
    said = []
    reporter = Reporter(said.append, stream, clock)
    when = []
    for moment in range(0, seconds, 5):
        clock.now = moment
        happens(moment)
        reporter.look(grid)
        when += [moment] * (len(said) - len(when))
    return when, said


class TestReporter:
    def test_a_file_is_not_flooded(self, clock):
        grid = Grid()

        def happens(now):
            # A training is done every ten seconds, for an hour.
            grid.trainings_done = now // 10

        when, said = reports(grid, clock, io.StringIO(), 3600, happens)
        assert when == list(range(300, 3600, 300))
        assert set(said) == {"progress: 0 cells"}

    @pytest.mark.parametrize("stream", [io.StringIO, Screen])
    @pytest.mark.parametrize(("known", "first"), [(0, Reporter.FIRST_SECONDS), (25, 25)])
    def test_it_begins_as_soon_as_the_time_left_can_be_told(self, clock, stream, known, first):
        grid = Grid()

        def happens(now):
            grid.seconds_left = 100 if now >= known else None

        assert reports(grid, clock, stream(), 120, happens)[0] == [first]

    def test_cells_that_are_done_together_are_one_line(self, clock):
        grid = Grid()

        def happens(now):
            grid.cells_done = min(now, 20)

        when, said = reports(grid, clock, io.StringIO(), 600, happens)
        assert when == [60]
        assert said == ["progress: 20 cells"]

    def test_a_long_training_is_heard_of_now_and_then(self, clock):
        when, _ = reports(Grid(), clock, io.StringIO(), 7200, lambda now: None)
        assert when == [1800, 3600, 5400]

    def test_a_terminal_is_told_of_each_change_but_not_at_once(self, clock):
        grid = Grid()

        def happens(now):
            grid.running = dict.fromkeys(range(now // 40))

        when, said = reports(grid, clock, Screen(), 120, happens)
        assert when == [40, 80]
        assert said[0] == "progress: 0 cells\n  a training"
        clock.now = 0
        assert reports(Grid(), clock, Screen(), 650, lambda now: None)[0] == [300, 600]

    def test_it_ends_with_the_grid(self, clock):
        grid = Grid()
        grid.is_over = True
        said = []
        Reporter(said.append, io.StringIO(), clock).run(lambda: grid)
        assert said == []

    def test_what_goes_wrong_is_said_once_and_ends_nothing(self, clock):
        said = []
        Reporter(said.append, io.StringIO(), clock).run(lambda: json.loads("{"))
        assert len(said) == 1
        assert said[0].startswith("progress cannot be shown: JSONDecodeError")

    def test_a_file_that_vanishes_meanwhile_ends_nothing(self, clock, monkeypatch):
        monkeypatch.setattr(Reporter, "PERIOD_SECONDS", 0.0)
        grid, looks = Grid(), []

        def look():
            looks.append(1)
            grid.is_over = len(looks) > 2
            raise FileNotFoundError

        grid.look, said = look, []
        Reporter(said.append, io.StringIO(), clock).run(lambda: grid)
        assert len(looks) == 3
        assert said == []

    @pytest.mark.parametrize(("look", "waits"), [(0.01, 5.0), (0.5, 25.0)])
    def test_looks_take_a_fiftieth_of_the_time_at_most(self, clock, monkeypatch, look, waits):
        grid, waited = Grid(), []
        reporter = Reporter(lambda text: None, io.StringIO(), clock)
        monkeypatch.setattr(grid, "look", lambda: setattr(clock, "now", clock.now + look))
        monkeypatch.setattr(reporter, "_stopped", SimpleNamespace(wait=lambda seconds: waited.append(seconds) or True))
        reporter.run(lambda: grid)
        assert waited == pytest.approx([waits])

    def test_it_can_be_stopped(self, clock):
        reporter = Reporter(lambda text: None, io.StringIO(), clock)
        reporter.stop()
        reporter.run(Grid)


class TestRunOfSnakemake:
    def test_it_is_reported_by_snakemakes_own_logger(self, steps, monkeypatch):
        monkeypatch.setattr("gridlaw.views.reporter.IN_FILE", Pace(0, 0, 0))
        monkeypatch.setattr(Reporter, "PERIOD_SECONDS", 0.01)
        monkeypatch.setattr("atexit.register", lambda stop: None)
        said = queue.Queue()
        monkeypatch.setattr(logger, "info", lambda text, extra: said.put((text, extra)))
        workflow = SimpleNamespace(
            nodes=None, _cores=1, global_resources={}, execution_settings=SimpleNamespace(retries=0)
        )
        Preview(workflow, Verdicts(configuration(GRID)))._follow(dict.fromkeys(steps.values(), "new"))
        assert said.get(timeout=60) == (
            "progress: 0 of 4 cells and 0 of 8 trainings done",
            {"quietness": Quietness.PROGRESS},
        )
        for step in steps.values():
            finish(step)
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "progress")
        thread.join(60)
        assert not thread.is_alive(), "it ends with the run"


class TestProgram:
    def test_once(self, program, steps, capsys, tmp_path):
        data(steps)
        (tmp_path / "grid.yaml").write_text(json.dumps(GRID))
        program(progress, "--configfile", tmp_path / "grid.yaml", "--directory", tmp_path)
        assert capsys.readouterr().out == "0 of 4 cells and 0 of 8 trainings done\n"

    def test_following_on_a_terminal_is_in_place(self, program, steps, tmp_path, monkeypatch):
        data(steps)
        (tmp_path / "grid.yaml").write_text(json.dumps(GRID))
        screen = Screen()
        monkeypatch.setattr("sys.stdout", screen)
        monkeypatch.setattr(progress.time, "sleep", lambda _: [finish(step) for step in steps.values()])
        arguments = ["--configfile", tmp_path / "grid.yaml", "--directory", tmp_path, "--follow"]
        program(progress, *arguments)
        first, second = screen.getvalue().split("\033[1F\033[J")
        assert first == "0 of 4 cells and 0 of 8 trainings done\n"
        assert second == "4 of 4 cells and 8 of 8 trainings done\n"

    def test_following_ends_when_all_is_done(self, program, steps, capsys, tmp_path):
        for step in steps.values():
            finish(step)
        (tmp_path / "grid.yaml").write_text(json.dumps(GRID))
        arguments = ["--configfile", tmp_path / "grid.yaml", "--directory", tmp_path, "--follow"]
        program(progress, *arguments)
        assert capsys.readouterr().out == "4 of 4 cells and 8 of 8 trainings done\n"
