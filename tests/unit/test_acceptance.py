"""One command keeps a whole grid after an update: its results, and what unfinished trainings have left."""

import json
import os
import signal
import sys
from argparse import Namespace
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path

import accept
import pytest
import yaml
from conftest import begin, configuration, finish
from filelock import SoftFileLease

from gridlaw import cli, io
from gridlaw.runtime import work
from gridlaw.workflow import acceptance, record, work_folder
from gridlaw.workflow.states import DONE, FAILED, INTERRUPTED, STALE
from gridlaw.workflow.status import Verdicts, to_run
from gridlaw.workflow.steps import SINGLE, Steps

GRID = {
    "models": ["tiny"],
    "sizes": ["1k", "8k"],
    "gpus": [1, 2],
    "tasks": ["sentiment"],
    "seeds": {"pretrain": [1], "finetune": [1, 2]},
    "exclude": [{"size": "1k", "gpus": 2}],
}
RATE = {"pretrain": {"per_model": {"tiny": {"learning_rate": 0.5}}}}
RATE_CHANGED = "pretrain.per_model.tiny.learning_rate 3e-3 → 0.5"
TRAINING, TUNING = "pretrain tiny 8k 1 1", "finetune tiny 8k 1 1 sentiment"
TABLES = {*SINGLE}
# Digests of code had twelve digits.
EARLIER = "0123456789ab"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of a grid."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def run(program, folder, capsys):
    """Runs accept.py on the grid with an overlay; gives what it prints."""

    def start(*arguments, note="fine", **change):
        overlay(folder, **change)
        program(accept, *arguments, "--note", note, "--configfile", "../grid.yaml", "--directory", folder)
        return capsys.readouterr()

    return start


def overlay(folder, **change):
    (folder.parent / "grid.yaml").write_text(yaml.safe_dump({**GRID, **change}))


def steps(**change):
    return {step.name: step for step in Steps(configuration({**GRID, **change}))}


def verdict(name, **change):
    verdicts = Verdicts(configuration({**GRID, **change}))
    return verdicts.verdict(next(step for step in verdicts.steps if step.name == name))


def due(**change):
    return {step.name for step in to_run(Verdicts(configuration({**GRID, **change})))}


def finish_all(but=()):
    for step in steps().values():
        if step.name not in but and step.rule not in but:
            finish(step)


def age(*names):
    """Give the records of results the code of an earlier version; without names, all records."""
    for name, step in steps().items():
        if (not names or name in names) and Path(step.record).exists():
            io.write_json(step.record, io.read_json(step.record) | {"code": EARLIER})


def interrupt(name, checkpoint="checkpoint-120"):
    """Leave what a killed training leaves."""
    step = steps()[name]
    (begin(step) / checkpoint).mkdir(parents=True)
    return step


def make_earlier(step, recipe, code=None, inputs=None):
    """Make a work folder one of version 0.1, which held a hash of these."""
    basis = record.basis(work_folder.read_basis(step.work))
    whole = {
        "recipe": recipe,
        "code": code or acceptance.EARLIER_CODE[step.rule],
        "inputs": dict(inputs or reversed(basis["inputs"].items())),
        "libraries": basis["libraries"],
    }
    Path(step.work, work_folder.BASIS).unlink()
    Path(step.work, work_folder.FINGERPRINT).write_text(record.fingerprint(whole))
    return record.fingerprint(whole)


class TestEverything:
    def test_an_update(self, run):
        finish_all()
        age()
        assert verdict("corpus toy").lines() == ("made by an earlier version of gridlaw, see scripts/accept.py",)
        assert due() > TABLES
        printed = run("--everything", note="update").out
        assert due() == TABLES
        assert "accepted: corpus toy\n    made by an earlier version of gridlaw" in printed
        assert "accepted: pretrain tiny 1k 1 1, pretrain tiny 8k 1 1, pretrain tiny 8k 2 1\n" in printed
        assert record.marks(io.read_json(steps()[TRAINING].record)) == ["accepted: update"]
        # Each was accepted for itself.
        assert len(io.read_json(steps()[TRAINING].record)["accepted"]) == 1

    def test_a_change_of_many_keys(self, run):
        finish_all()
        change = RATE | {"data": {"segment_words": 27}, "finetune": {"epochs": 7}}
        run("--everything", **change)
        assert due(**change) == TABLES
        assert STALE in {verdict(name).state for name in steps()}, "they are valid for the change now"

    def test_what_cannot_be_accepted_is_left_out(self, run):
        finish_all()
        age()
        Path(steps()["slice toy wordpiece 1k"].record).unlink()
        step = steps()["score tiny 8k 1"]
        with SoftFileLease(f"{steps()[TUNING].work}.lease", lease_duration=work_folder.LEASE_SECONDS):
            refused = run("--everything").err.splitlines()
        assert sorted(refused) == sorted(
            [
                "not accepted: pretrain tiny 1k 1 1 is made from slice toy wordpiece 1k, which is new;"
                " accept or make that first: accept.py --step slice",
                "not accepted: finetune tiny 1k 1 1 sentiment is made from slice toy wordpiece 1k, which is new;"
                " accept or make that first: accept.py --step slice",
                f"not accepted: {TUNING} is being made by another process",
                "not accepted: score tiny 1k 1 is made from slice toy wordpiece 1k, which is new;"
                " accept or make that first: accept.py --step slice",
                f"not accepted: score tiny 8k 1 is made from {TUNING}, which is stale (made by an earlier version of gridlaw,"
                " see scripts/accept.py); accept or make that first: accept.py tiny 8k 1 --step finetune",
            ]
        )
        assert verdict(TRAINING).state == DONE
        assert verdict(step.name).state == STALE

    @pytest.mark.parametrize("arguments", [("tiny",), ("--step", "corpus")])
    def test_with_a_part_is_refused(self, run, arguments):
        with pytest.raises(cli.Failure, match="--everything: expected neither a cell nor --step beside it"):
            run("--everything", *arguments)

    def test_nothing_is_stale(self, run):
        finish_all()
        with pytest.raises(cli.Failure, match="nothing is stale there"):
            run("--everything")


class TestUnfinished:
    @pytest.fixture(autouse=True)
    def grid(self):
        finish_all(but=("pretrain", "finetune", "score", "ranks", *SINGLE))

    def test_a_changed_key(self, run):
        step = interrupt(TRAINING)
        assert verdict(TRAINING).lines() == ("resumes from optimizer step 120",)
        assert verdict(TRAINING, **RATE).state == INTERRUPTED
        assert verdict(TRAINING, **RATE).lines() == (f"at optimizer step 120; starts again: {RATE_CHANGED}",)
        before = work_folder.read_basis(step.work)
        printed = run("tiny", "8k", "1", **RATE).out
        assert (
            printed == f"accepted: {TRAINING}\n    {RATE_CHANGED}\n    interrupted: resumes from optimizer step 120\n"
        )
        after = work_folder.read_basis(step.work)
        (entry,) = after.pop("accepted")
        assert after == before, "what the checkpoints were computed with stays, and their seal"
        assert (entry["note"], entry["differed"]) == ("fine", [RATE_CHANGED])
        assert entry["by"]
        assert entry["when"].startswith("20")
        assert verdict(TRAINING, **RATE).lines() == ("resumes from optimizer step 120",)
        # Also back to what it began with: it was accepted as something else.
        assert "starts again" in verdict(TRAINING).lines()[0]

    def test_an_attempt_resumes_what_was_accepted(self, run, monkeypatch):
        step = interrupt(TRAINING)
        run("tiny", **RATE)
        sealed = work_folder.read_basis(step.work)["fingerprint"]
        now = steps(**RATE)[TRAINING]
        monkeypatch.setattr(sys, "argv", [str(step.program)])
        monkeypatch.delenv("RANK", raising=False)
        args = cli_arguments(now)
        sealed_with = []

        def body(args, fingerprint):
            sealed_with.append(fingerprint)
            record.write(args, **work.history(args.work))

        work.attempt(args, 1, body)
        assert sealed_with == [sealed]
        facts = io.read_json(now.record)
        assert record.marks(facts) == ["accepted: fine"], "the table says so"
        assert verdict(TRAINING, **RATE).state == DONE
        assert not Path(step.work).exists()

    def test_a_failed_one(self, run):
        step = interrupt(TRAINING)
        with open(Path(step.work, work_folder.ATTEMPTS), "a") as stream:
            stream.write(json.dumps({"ended": "2026-11-24T11:00:00+00:00", "cause": "exit status 1"}) + "\n")
        assert verdict(TRAINING).lines() == ("exit status 1",)
        assert verdict(TRAINING, **RATE).state == FAILED
        assert verdict(TRAINING, **RATE).lines() == (f"exit status 1; starts again: {RATE_CHANGED}",)
        assert "    failed: exit status 1\n" in run("tiny", **RATE).out
        assert verdict(TRAINING, **RATE).lines() == ("exit status 1",)

    def test_other_code(self, run):
        step = interrupt(TRAINING)
        facts = work_folder.read_basis(step.work)
        label = next(name for name in facts["definitions"] if name.endswith(": held_out_loss"))
        facts["definitions"][label] = "0" * 16
        work_folder.write_basis(step.work, facts | {"code": "0" * 16})
        assert verdict(TRAINING).lines() == (f"at optimizer step 120; starts again: {label} changed",)
        run("--everything")
        assert verdict(TRAINING).lines() == ("resumes from optimizer step 120",)

    def test_an_input_of_another_content(self, run):
        step = interrupt(TRAINING)
        Path(steps()["slice toy wordpiece 8k"].folder, "manifest.json").write_text("another")
        assert verdict(TRAINING).lines() == (
            "at optimizer step 120; starts again: slice toy wordpiece 8k is another result now",
        )
        run("tiny", "8k", "1")
        assert not Verdicts(configuration(GRID)).obstacles(step)

    def test_a_library_is_named(self, run, monkeypatch):
        step = interrupt(TRAINING)
        present = record.libraries()
        monkeypatch.setattr(record, "libraries", lambda: present | {"torch": "99.0"})
        assert verdict(TRAINING).lines() == (f"at optimizer step 120; starts again: torch {present['torch']} → 99.0",)
        assert f"    torch {present['torch']} → 99.0\n" in run("tiny").out
        assert verdict(TRAINING).lines() == ("resumes from optimizer step 120",)
        # Where the program runs may have the first one, as before.
        monkeypatch.setattr(record, "libraries", lambda: present)
        assert not Verdicts(configuration(GRID)).obstacles(step)
        # An environment without torch does not know.
        monkeypatch.setattr(record, "libraries", dict)
        assert not Verdicts(configuration(GRID)).obstacles(step)

    def test_one_that_a_process_holds_is_refused(self, run):
        step = interrupt(TRAINING)
        before = Path(step.work, work_folder.BASIS).read_bytes()
        with (
            SoftFileLease(f"{step.work}.lease", lease_duration=work_folder.LEASE_SECONDS),
            pytest.raises(cli.Failure, match=f"{TRAINING} is being made by another process"),
        ):
            run("tiny", "8k", "1", **RATE)
        assert Path(step.work, work_folder.BASIS).read_bytes() == before

    def test_finished_runs_of_a_fine_tuning(self, run):
        for name, step in steps().items():
            if name in (TRAINING, TUNING):
                finish(step)
        step = interrupt(TUNING, "all-1")
        io.write_json(f"{step.work}/all-1/{work_folder.FACTS}", {})
        more = {"seeds": {"pretrain": [1], "finetune": [1, 2, 3]}}
        assert not Verdicts(configuration({**GRID, **more})).obstacles(step), "a list that may grow is no difference"
        longer = {"finetune": {"epochs": 7}}
        run("tiny", "8k", "1", **longer)
        assert verdict(TUNING, **longer).state == DONE
        assert not Verdicts(configuration({**GRID, **longer, **more})).obstacles(steps(**longer)[TUNING])


class TestEarlierWorkFolder:
    @pytest.fixture(autouse=True)
    def grid(self):
        finish_all(but=("finetune", "score", "ranks", *SINGLE, TRAINING))

    def test_of_the_last_version(self, run):
        step = interrupt(TRAINING)
        fingerprint = make_earlier(step, work_folder.read_basis(step.work)["recipe"])
        assert verdict(TRAINING).lines() == (
            "at optimizer step 120; starts again: made by an earlier version of gridlaw, see scripts/accept.py",
        )
        printed = run("--everything", note="update").out
        assert "    interrupted: resumes from optimizer step 120\n" in printed
        facts = work_folder.read_basis(step.work)
        assert facts["fingerprint"] == fingerprint, "with which the checkpoints are sealed"
        assert facts["code"] == acceptance.EARLIER_CODE["pretrain"]
        assert record.basis(facts)["code"] == step.code

    def test_of_a_version_that_finished_records_name(self, run):
        age("pretrain tiny 1k 1 1")
        step = interrupt(TRAINING)
        make_earlier(step, work_folder.read_basis(step.work)["recipe"], EARLIER)
        run("--everything")
        assert work_folder.read_basis(step.work)["code"] == EARLIER

    def test_whose_recipe_lacked_an_entry(self, run):
        step = interrupt(TRAINING)
        recipe = {
            name: value for name, value in work_folder.read_basis(step.work)["recipe"].items() if name != "compile"
        }
        make_earlier(step, recipe)
        run("tiny", "8k", "1")
        assert work_folder.read_basis(step.work)["recipe"] == recipe

    @pytest.mark.parametrize("other", ["recipe", "inputs"])
    def test_of_something_else(self, run, other):
        step = interrupt(TRAINING)
        basis = work_folder.read_basis(step.work)
        recipe = basis["recipe"] | ({"learning_rate": 0.7} if other == "recipe" else {})
        make_earlier(step, recipe, inputs=dict.fromkeys(basis["inputs"], "0" * 64) if other == "inputs" else None)
        assert (
            f"    {step.work}: not accepted: made from another recipe, input or version of a library, or not recognised\n"
            in run("tiny", "8k", "1").out
        )
        assert work_folder.read_basis(step.work) is None
        assert "starts again" in verdict(TRAINING).lines()[0]


def cli_arguments(step):
    """The arguments that a training program is given, as it parses them."""
    return Namespace(
        recipe=step.recipe, inputs=list(step.inputs), plugins=step.kind.plugin_modules(step.recipe),
        extendable=step.kind.extendable, outputs=[], work=step.work, record=step.record,
    )  # fmt: skip


def is_killed(moment, command):
    """Return whether an accept.py that is killed at some change of the file system gets that far."""
    process = os.fork()
    if process == 0:
        count = 0

        def dying(change, half=None):
            def instead(*arguments):
                nonlocal count
                count += 1
                if count == moment:
                    if half:
                        half(*arguments)
                    os.kill(os.getpid(), signal.SIGKILL)
                return change(*arguments)

            return instead

        write = Path.write_bytes
        Path.write_bytes = dying(write, lambda path, content: write(path, content[: len(content) // 2]))
        Path.replace = dying(Path.replace)
        sys.argv = command
        with suppress(BaseException), redirect_stdout(StringIO()):
            accept.main()
            os._exit(0)
        os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def test_killed_at_any_moment(folder):
    finish_all(but=("score", *SINGLE, TUNING))
    interrupt(TUNING)
    age()
    change = RATE | {"finetune": {"epochs": 7}}
    overlay(folder, **change)
    command = [
        accept.__file__, "--everything", "--note", "fine", "--configfile", "../grid.yaml", "--directory", str(folder),
    ]  # fmt: skip
    steps(**change)
    moment = 0
    killed = True
    while killed:
        moment += 7
        killed = is_killed(moment, command)
        for file in [*Path().rglob("record.json"), *Path("work").rglob(work_folder.BASIS)]:
            assert isinstance(json.loads(file.read_text()), dict)
            assert len(io.read_json(file).get("accepted", [])) <= 1, "nothing is accepted twice"
    assert moment > 20
    assert verdict(TUNING, **change).lines() == ("resumes from optimizer step 120",)
    assert {verdict(name, **change).state for name, step in steps().items() if step.rule == "pretrain"} == {DONE}
