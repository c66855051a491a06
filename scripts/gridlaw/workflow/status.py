"""What is true of each result by its record alone: done, stale and why, failed, interrupted, or not there yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from functools import cached_property

from gridlaw import io
from gridlaw.runtime import work
from gridlaw.workflow import reasons, record
from gridlaw.workflow.states import DONE, FAILED, INTERRUPTED, NEW, RUNNING, STALE
from gridlaw.workflow.steps import TRAININGS, Step, Steps

# What a record must have to be judged, and what nobody asks of thousands of them.
NEEDED = {"recipe", "code", "inputs", "outputs", "started", "wall_seconds", "host"}
NOT_ASKED = {"attempts", "environment", "hardware"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of one result, whatever is true of the results that it is made from.

    Args:
        state: one of this module's names.
        reasons: in the user's words, why a result is stale, or what is known of a failed or interrupted run.
        replaced: steps upstream whose result is not the one that this was made from.
    """

    state: str
    reasons: tuple[str, ...] = ()
    replaced: tuple[Step, ...] = ()

    def lines(self, but: Container[Step] = ()) -> tuple[str, ...]:
        """All that is to be said of it, but of replaced results of these steps."""
        replaced = [step.name for step in self.replaced if step not in but]
        if len(replaced) > 3:
            return (
                *self.reasons,
                f"{replaced[0]} and {len(replaced) - 1} more that it is made from are other results now",
            )
        return *self.reasons, *(f"{name} is another result now" for name in replaced)


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
            made = self._records[file] = io.find_json(file)
            if made and "definitions" in made:
                # They are most of a record, and the same in thousands.
                made["definitions"] = self._definitions.setdefault(made.get("code"), made["definitions"])
                for name in NOT_ASKED & made.keys():
                    del made[name]
        return self._records[file]

    def of(self, step: Step) -> Verdict:
        """The verdict on a step's result."""
        if step not in self._verdicts:
            made = self.record(step.record)
            self._verdicts[step] = _unfinished(step) if made is None else self._finished(step, made)
        return self._verdicts[step]

    def forget(self, step: Step) -> None:
        """Look at a step's result anew when asked again."""
        self._verdicts.pop(step, None)
        for file in (step.record, f"{step.folder}/manifest.json"):
            self._records.pop(file, None)
            self._digests.pop(file, None)

    def _finished(self, step: Step, made: dict) -> Verdict:
        if not made.keys() >= NEEDED:
            return Verdict(STALE, (f"{step.record} is no record of this version of gridlaw",))
        basis = record.basis(made)
        # What the user's own files hold stands in recipes.
        known = {file: self.steps.find(file) for file in step.inputs if file in basis["inputs"]}
        others = [of for file, of in known.items() if of and self._sha256(file) not in (None, basis["inputs"][file])]
        replaced = tuple(dict.fromkeys(others))
        found = tuple(reasons.of(step, basis))
        return Verdict(STALE, found, replaced) if found or replaced else Verdict(DONE)

    def _sha256(self, file: str) -> str | None:
        """Digest of an input; None for one that is not there."""
        if file not in self._digests:
            self._digests[file] = io.digest(file)
        return self._digests[file]


def _unfinished(step: Step) -> Verdict:
    """The verdict on a result that is not there, from what its attempts have left."""
    said = _last_error(step.log)
    begun = work.read_attempts(step.work) if step.rule in TRAININGS else []
    if begun and work.is_held(step.work):
        return Verdict(RUNNING, (f"since {begun[-1]['started']} on {begun[-1]['host']}",))
    if begun and begun[-1]["cause"] in (work.KILLED, work.TERMINATED):
        return Verdict(INTERRUPTED, (_progress(step),))
    if begun or said:
        return Verdict(FAILED, (said or begun[-1]["cause"],))
    return Verdict(NEW)


def _last_error(log: str) -> str | None:
    """What a program's log ends with, if with an error."""
    lines = [line for line in io.read_tail(log, 4096).splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if line.startswith("error: ")), None)
    if said is None and any(line.startswith("Traceback") for line in lines):
        said = lines[-1]
    return said and said.removeprefix("error: ")


def _progress(step: Step) -> str:
    """What an interrupted training goes on from."""
    update, runs = work.progress(step.work)
    parts = [f"{len(runs)} finished runs"] * bool(runs) + [f"update {update}"] * bool(update)
    return f"goes on from {' and '.join(parts)}" if parts else "starts again, there is no checkpoint yet"


def to_run(verdicts: Verdicts) -> set[Step]:
    """The steps that Snakemake would run: what is stale or missing in the end, what that needs, what comes of it."""
    steps = list(verdicts.steps)
    successors = verdicts.steps.successors()
    missing = {step for step in steps if verdicts.record(step.record) is None}
    todo = deque(step for step in steps if (step in missing and step.kind.single) or verdicts.of(step).state == STALE)
    found = set(todo)
    while todo:
        step = todo.popleft()
        more = [earlier for earlier in step.after if earlier in missing] + successors.get(step, [])
        todo += (new for new in dict.fromkeys(more) if new not in found)
        found.update(more)
    return found


def causes(verdicts: Verdicts, running: Collection[Step], others: Mapping[Step, str]) -> dict[Step, dict[str, Step]]:
    """Why results have to be made again.

    Args:
        running: the steps that are made.
        others: reasons that count for a step which is made though its record has none.

    Returns:
        for each running step its reasons and the steps that they are of: root causes only, so that what follows from a
        step has its reasons; none where nothing was there before.
    """
    found: dict[Step, dict[str, Step]] = {}
    for step in verdicts.steps:
        if step not in running:
            continue
        own = found[step] = {}
        for earlier in step.after:
            own |= found.get(earlier, {})
        verdict = verdicts.of(step)
        if verdict.state == STALE:
            own |= dict.fromkeys(verdict.lines(but=running), step)
        elif verdict.state == DONE and not own:
            anew = [earlier for earlier in step.after if earlier in running]
            own |= {f"{earlier.name} was removed and is made again": earlier for earlier in anew}
            if not anew and step in others:
                own[others[step]] = step
    return found
