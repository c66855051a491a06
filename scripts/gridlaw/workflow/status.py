"""The state of each result by its record alone: done, stale and why, failed, interrupted, or not there yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from gridlaw import io
from gridlaw.words import count, join_and
from gridlaw.workflow import cause, reasons, record, work_folder
from gridlaw.workflow.states import DONE, FAILED, INTERRUPTED, NEW, RUNNING, STALE
from gridlaw.workflow.steps import TRAININGS, Step, Steps

# Keys of a record without which it cannot be judged, and keys that are not needed here, of thousands of records.
NEEDED = {"recipe", "code", "inputs", "outputs", "started", "wall_seconds", "host"}
UNNEEDED = {"attempts", "environment", "hardware"}
# Largest number of reasons that are named in a sentence.
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of one result, whatever the states of the results that it is made from.

    Args:
        state: one of this module's names.
        reasons: in the user's words, why a result is stale, or what is known of a failed or interrupted run.
        replaced: steps upstream whose result is not the one that this was made from.
    """

    state: str
    reasons: tuple[str, ...] = ()
    replaced: tuple[Step, ...] = ()

    def lines(self, but: Container[Step] = ()) -> tuple[str, ...]:
        """The reasons, and the replaced results except those of some steps."""
        return *self.reasons, *_replacements([step for step in self.replaced if step not in but])


class Verdicts:
    """Verdicts on the steps of a grid; each file is read once.

    Args:
        config: a completed configuration.
    """

    def __init__(self, config: dict):
        self.config = config
        self._records: dict[str, dict | None] = {}
        self._definitions: dict[str, dict[str, str]] = {}
        self._digests: dict[str, str | None] = {}
        self._verdicts: dict[Step, Verdict] = {}

    @cached_property
    def steps(self) -> Steps:
        """The grid's steps."""
        return Steps(self.config, self.record)

    def record(self, file: str) -> dict | None:
        """The record in a file; None where there is none."""
        if file not in self._records:
            facts = self._records[file] = io.find_json(file)
            if facts and "definitions" in facts:
                # They are most of a record, and the same in thousands.
                facts["definitions"] = self._definitions.setdefault(facts.get("code"), facts["definitions"])
                for name in UNNEEDED & facts.keys():
                    del facts[name]
        return self._records[file]

    def verdict(self, step: Step) -> Verdict:
        """Return the verdict on a step's result."""
        if step not in self._verdicts:
            facts = self.record(step.record)
            self._verdicts[step] = self._unfinished(step) if facts is None else self._finished(step, facts)
        return self._verdicts[step]

    def obstacles(self, step: Step) -> tuple[str, ...]:
        """Reasons why the next attempt at a training will delete the files in its work folder; none if it uses them."""
        if step.rule not in TRAININGS or not any(work_folder.progress(step.work)):
            return ()
        if work_folder.read_earlier_fingerprint(step.work):
            return (reasons.EARLIER,)
        facts = work_folder.read_basis(step.work)
        if facts is None:
            return (f"{step.work}/{work_folder.BASIS} is missing",)
        basis = record.basis(facts)
        # Lists that may grow are not part of it.
        grown = {name: step.recipe[name] for name in step.kind.extendable}
        lines = reasons.differences(step, basis | {"recipe": basis["recipe"] | grown})
        return (
            *lines,
            *_replacements(list(self._replaced(step, basis))),
            *reasons.library_differences(facts, record.libraries()),
        )

    def forget(self, step: Step) -> None:
        """Look at a step's result anew when asked again."""
        self._verdicts.pop(step, None)
        for file in (step.record, f"{step.folder}/manifest.json"):
            self._records.pop(file, None)
            self._digests.pop(file, None)

    def _finished(self, step: Step, facts: dict) -> Verdict:
        if not facts.keys() >= NEEDED:
            return Verdict(STALE, (f"{step.record} is no record of this version of gridlaw",))
        basis = record.basis(facts)
        lines, replaced = tuple(reasons.differences(step, basis)), tuple(self._replaced(step, basis))
        return Verdict(STALE, lines, replaced) if lines or replaced else Verdict(DONE)

    def _unfinished(self, step: Step) -> Verdict:
        """The verdict on a result that is not there, from what its attempts have left."""
        error = cause.find([step.log])
        attempts = work_folder.read_attempts(step.work) if step.rule in TRAININGS else []
        if attempts and work_folder.is_held(step.work):
            return Verdict(RUNNING, (f"since {attempts[-1]['started']} on {attempts[-1]['host']}",))
        if attempts and attempts[-1]["cause"] in (work_folder.KILLED, work_folder.TERMINATED):
            return Verdict(INTERRUPTED, (self._prospect(step),))
        if attempts or error:
            obstacles = self.obstacles(step)
            again = [f"starts again: {_few(obstacles)}"] if obstacles else []
            return Verdict(FAILED, ("; ".join([error or attempts[-1]["cause"], *again]),))
        return Verdict(NEW)

    def _prospect(self, step: Step) -> str:
        """Return where the next attempt at an interrupted training will start, in words."""
        last, runs = work_folder.progress(step.work)
        parts = [count(len(runs), "finished run")] * bool(runs) + [f"optimizer step {last}"] * bool(last)
        if not parts:
            return "starts again, because there is no checkpoint yet"
        obstacles = self.obstacles(step)
        where = " and ".join(parts)
        return f"at {where}; starts again: {_few(obstacles)}" if obstacles else f"resumes from {where}"

    def _replaced(self, step: Step, basis: dict) -> Iterator[Step]:
        """The steps upstream whose result is not the one that a basis names, each once."""
        # What the user's own files hold stands in recipes.
        makers = {file: self.steps.find(file) for file in step.inputs if file in basis["inputs"]}
        yield from dict.fromkeys(
            maker for file, maker in makers.items() if maker and self._sha256(file) not in (None, basis["inputs"][file])
        )

    def _sha256(self, file: str) -> str | None:
        """Digest of an input; None for one that is not there."""
        if file not in self._digests:
            self._digests[file] = io.digest(file)
        return self._digests[file]


def _replacements(steps: Collection[Step]) -> list[str]:
    """Lines on results that others have replaced."""
    names = [step.name for step in steps]
    if len(names) > SHOWN:
        return [f"{names[0]} and {len(names) - 1} more that it is made from are other results now"]
    return [f"{name} is another result now" for name in names]


def _few(lines: Collection[str]) -> str:
    """Some reasons in one line."""
    return join_and([*list(lines)[:SHOWN], *[f"{len(lines) - SHOWN} more"] * (len(lines) > SHOWN)])


def to_run(verdicts: Verdicts) -> set[Step]:
    """The steps that Snakemake would run: what is stale or missing in the end, what that needs, what comes of it."""
    steps = list(verdicts.steps)
    successors = verdicts.steps.successors()
    missing = {step for step in steps if verdicts.record(step.record) is None}
    stale = {step for step in steps if verdicts.verdict(step).state == STALE}
    todo = deque(step for step in steps if step in stale or (step in missing and step.kind.single))
    running = set(todo)
    while todo:
        step = todo.popleft()
        more = [earlier for earlier in step.after if earlier in missing] + successors.get(step, [])
        todo += (new for new in dict.fromkeys(more) if new not in running)
        running.update(more)
    return running


def causes(verdicts: Verdicts, running: Collection[Step], others: Mapping[Step, str]) -> dict[Step, dict[str, Step]]:
    """Return the reasons why results have to be made again.

    Args:
        running: the steps that are made.
        others: reasons that count for a step which is made though its record has none.

    Returns:
        for each running step its reasons and the steps that they belong to: root causes only, so that what follows from
        a step has its reasons; none where nothing was there before.
    """
    roots: dict[Step, dict[str, Step]] = {}
    for step in verdicts.steps:
        if step not in running:
            continue
        origins = roots[step] = {}
        for earlier in step.after:
            origins |= roots.get(earlier, {})
        verdict = verdicts.verdict(step)
        if verdict.state == STALE:
            origins |= dict.fromkeys(verdict.lines(but=running), step)
        elif verdict.state == DONE and not origins:
            anew = [earlier for earlier in step.after if earlier in running]
            origins |= {f"{earlier.name} was removed and is made again": earlier for earlier in anew}
            if not anew and step in others:
                origins[others[step]] = step
    return roots
