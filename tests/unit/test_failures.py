"""What a user sees of failed jobs: the cause and what to do, not a command with a whole recipe."""

import inspect
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import configuration
from snakemake.jobs import Job
from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

from gridlaw.hooks.failures import ADVICE, LAST, SHOWN, Failures
from gridlaw.workflow import cause
from gridlaw.workflow.status import Verdicts

COMMAND = (
    'RuleException:\nCalledProcessError in file "rules/data.smk", line 22:\nCommand \'set -euo pipefail;  python'
    " scripts/task.py --recipe '{{\"a\": 1}}' --record {record} > {log} 2>&1' {end}."
)
FAILED = "returned non-zero exit status 1"


class Run:
    """A run of the default grid, as far as messages about failed jobs see it."""

    def __init__(self, watch=None):
        self.verdicts = Verdicts(configuration())
        self.steps = [step for step in self.verdicts.steps if step.rule == "finetune"]
        self.workflow = SimpleNamespace(scheduler=SimpleNamespace(failed=[]))
        self.handler = Failures(self.workflow, self.verdicts, watch)

    def pass_on(self, text, event, **parts):
        """Return a message as Snakemake prints it."""
        message = logging.LogRecord("snakemake", logging.ERROR, "", 0, text, (), None)
        message.__dict__.update(event=event, **parts)
        self.handler.emit(message)
        return DefaultFormatter(None, show_failed_logs=False).format(message)

    def fail(self, step, log, end=FAILED):
        """Let the program of a step fail; returns what is printed meanwhile."""
        Path(step.log).parent.mkdir(parents=True, exist_ok=True)
        if log is not None:
            Path(step.log).write_text(log)
        job = SimpleNamespace(output=sorted(step.outputs), is_group=lambda: False)
        self.workflow.scheduler.failed.append(job)
        command = COMMAND.format(record=step.record, log=step.log, end=end)
        parts = {"input": [], "conda_env": None, "container_img": None}
        return [
            self.pass_on(command, LogEvent.ERROR, exception="RuleException"),
            self.pass_on(
                "Error in rule", LogEvent.JOB_ERROR, rule_name=step.rule, rule_msg=None, jobid=3, output=job.output,
                log=[step.log], aux={}, indent=False, shellcmd=command, **parts,
            ),
        ]  # fmt: skip

    def end(self):
        """The last lines of the run, after Snakemake's own."""
        text = self.pass_on(f"WorkflowError:\n{LAST}\n", LogEvent.ERROR, exception="WorkflowError")
        own, lines = text.strip().splitlines()[:2], text.strip().splitlines()[2:]
        assert own == ["WorkflowError:", LAST]
        return lines


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Run()


def test_the_parts_of_a_message_are_those_of_snakemake():
    source = inspect.getsource(Job.get_log_error_info)
    assert all(f"{name}=" in source for name in ("output", "shellcmd", "rule_msg"))


def test_a_failure_says_why_and_what_to_do(run):
    step = run.steps[0]
    printed = run.fail(step, "loading\nerror: data/train.jsonl, row 5: label is not a number\n")
    assert not any("--recipe" in text for text in printed), "no recipe"
    assert any("message: data/train.jsonl, row 5: label is not a number" in text for text in printed)
    values = " ".join(f"{name}={value}" for name, value in step.wildcards.items())
    line, advice = run.end()
    assert line == f"failed: finetune {values}: data/train.jsonl, row 5: label is not a number; see {step.log}"
    assert advice == ADVICE


@pytest.mark.parametrize(
    ("log", "end", "expected"),
    [
        ("Traceback (most recent call last):\n  File\nValueError: a shape\n", FAILED, "ValueError: a shape"),
        ("step 10 of 20\n", "returned non-zero exit status 137", "killed, perhaps because memory ran out"),
        ("", "died with <Signals.SIGKILL: 9>", "killed, perhaps because memory ran out"),
        ("bash: python: command not found\n", "returned non-zero exit status 127", "bash: python: command not found"),
        (None, FAILED, f"the program {FAILED}"),
    ],
)
def test_a_program_without_a_message_of_ours(run, log, end, expected):
    run.fail(run.steps[0], log, end)
    assert f": {expected}; see " in run.end()[0]


def test_many_failures_are_not_all_listed(run):
    for step in run.steps:
        run.fail(step, "error: the same\n")
    lines = run.end()
    assert len(run.steps) > SHOWN
    assert [line.startswith("failed: ") for line in lines] == [True] * SHOWN + [False] * 2
    assert lines[SHOWN] == f"and {len(run.steps) - SHOWN} more; snakemake -n lists them"


def test_jobs_of_another_workflow_are_left_alone(run):
    text = "Error in rule\n    Command 'cp --record results/other.txt x' returned non-zero exit status 1."
    assert text in run.pass_on(text, LogEvent.ERROR, exception="RuleException")
    run.workflow.scheduler.failed.append(SimpleNamespace(output=["results/other.txt"], is_group=lambda: False))
    assert run.end() == []


def test_the_cluster_knows_more(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run(SimpleNamespace(describe=lambda job: "pretrain tiny 2k 1 1 (attempt 2): time"))
    run.fail(run.steps[0], "")
    assert run.end()[0] == "failed: pretrain tiny 2k 1 1 (attempt 2): time"


def test_the_cause_is_the_last_line_of_the_best_kind(tmp_path):
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    first.write_text("error: one\nerror: two\nValueError: later\n\n")
    second.write_text("OSError: other\n")
    assert cause.find([first, second]) == "two"
    assert cause.find([second, first]) == "two"
    assert cause.find([second]) == "OSError: other"
    assert cause.find([tmp_path / "missing"]) == cause.last_line([tmp_path / "missing"]) == ""
    assert cause.last_line([first]) == "ValueError: later"
