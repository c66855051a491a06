"""Keep results and unfinished trainings of a grid as valid, although a change made them stale that you judge harmless.

    python scripts/accept.py tiny 64k 2 --note "only the logging of the optimizer changed"
    python scripts/accept.py all --step finetune --note "the new default is what we had set by hand"
    python scripts/accept.py --step corpus --note "the files were only renamed"
    python scripts/accept.py --everything --note "update to 0.2"

With --everything, all results of the grid are meant, also those that belong to no cell. Tables, figures and the report
are never accepted; they are made again. An unfinished training that is accepted resumes from its checkpoint instead of
starting again.

The record keeps what differed, your note, your name and the time, and tables show the note. Further changes make a
result stale again. A result that is made from a stale one is refused: accept or make that one first.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator

from gridlaw import cli
from gridlaw.cli import Failure
from gridlaw.views import console
from gridlaw.words import join_comma
from gridlaw.workflow import acceptance, work_folder
from gridlaw.workflow.states import DONE, STALE
from gridlaw.workflow.status import Verdicts, to_run
from gridlaw.workflow.steps import KINDS, OF_A_CELL, SINGLE, Step

# Results whose notes tables show, and results that read records, which get a note.
MARKED, READERS = ("pretrain", "score"), ("ranks",)
# Largest number of results of the same kind that are listed by name.
SHOWN = 3


def main() -> None:
    parser = console.parser(__doc__)
    parser.add_argument(
        "--step",
        choices=sorted(KINDS.keys() - SINGLE.keys()),
        help="only results of this rule",
    )
    parser.add_argument("--everything", action="store_true", help="all results of the grid")
    parser.add_argument("--note", required=True, help="why they are valid")
    args = parser.parse_args()
    check(args)
    verdicts = Verdicts(console.configuration(args))
    chosen, refused = select(verdicts, args)
    if refused and not args.everything:
        raise Failure(next(iter(refused.values())))
    if not chosen and not refused:
        raise Failure("nothing is stale there by its record; python scripts/explain.py shows what is")
    print(*report(accept(verdicts, chosen, args.note)), sep="\n")
    for problem in dict.fromkeys(refused.values()):
        print(f"not accepted: {problem}", file=sys.stderr)


def check(args: Namespace) -> None:
    """Check that the command line says which results, and why.

    Raises:
        Failure: it does not.
    """
    if not args.note.strip():
        raise Failure("--note: empty; expected why the results are valid")
    if args.everything and (args.model or args.step):
        raise Failure("--everything: expected neither a cell nor --step beside it")
    if not args.everything and args.model is None and args.step in (None, *OF_A_CELL):
        raise Failure("no cell; expected a model, its size and gpus, or all, or --step with a rule of no cell")


def select(verdicts: Verdicts, args: Namespace) -> tuple[dict[Step, tuple[str, ...]], dict[Step, str]]:
    """Select the results that the command line means and that are stale by themselves, upstream first.

    Returns:
        steps to accept with what differs, and steps that are refused with the reason.
    """
    cells = console.cells(args, verdicts.config) if args.model else [None]
    chosen, refused = {}, {}
    waiting = to_run(verdicts)
    for step in verdicts.steps:
        if step.kind.single or args.step not in (None, step.rule) or not (args.everything or step.cell in cells):
            continue
        lines = differences(verdicts, step)
        if not lines:
            continue
        problem = refusal(verdicts, step, waiting)
        if problem:
            refused[step] = problem
        else:
            chosen[step] = lines
            waiting.discard(step)
    return chosen, refused


def differences(verdicts: Verdicts, step: Step) -> tuple[str, ...]:
    """Return the differences of a result, or of an unfinished training, from the present configuration, a line each."""
    verdict = verdicts.verdict(step)
    lines = verdict.lines() if verdict.state == STALE else ()
    return tuple(dict.fromkeys([*lines, *verdicts.obstacles(step)]))


def refusal(verdicts: Verdicts, step: Step, waiting: set[Step]) -> str | None:
    """Return why a result cannot be accepted: another process makes it, or it is made from one to be made again.

    Args:
        waiting: steps that are to be made, and are not accepted.
    """
    if work_folder.is_held(step.work):
        return f"{step.name} is being made by another process"
    for earlier in step.ancestors():
        verdict = verdicts.verdict(earlier)
        if earlier in waiting and verdict.state != DONE:
            lines = "; ".join(verdict.lines())
            cell = f" {' '.join(map(str, earlier.cell))}" if earlier.cell else ""
            return (
                f"{step.name} is made from {earlier.name}, which is {verdict.state}{f' ({lines})' if lines else ''};"
                f" accept or make that first: accept.py{cell} --step {earlier.rule}"
            )
    return None


def accept(
    verdicts: Verdicts, chosen: dict[Step, tuple[str, ...]], note: str
) -> Iterator[tuple[Step, tuple[str, ...]]]:
    """Accept results and unfinished trainings, and note it with the results that are made from them.

    Args:
        chosen: steps with what differs.

    Yields:
        what was done with each of them, in lines.
    """
    # Records by rule.
    finished: dict[str, list[dict]] = {}
    # By step, those of the accepted ones that it is made from.
    origins: dict[Step, list[Step]] = {}
    # Upstream first: a later result may be made from the records that are written here.
    for step in verdicts.steps:
        if step.kind.single:
            continue
        above = [origin for earlier in step.after for origin in [*origins.get(earlier, []), earlier]]
        origins[step] = [origin for origin in dict.fromkeys(above) if origin in chosen]
        verdict = verdicts.verdict(step)
        if step in chosen:
            yield step, tuple(accept_step(verdicts, step, chosen[step], note, finished))
        elif origins[step] and step.rule in (*MARKED, *READERS) and verdicts.record(step.record):
            # Nothing else differs in it; of a stale one, it is not asked.
            entries = ["inputs"] if verdict.state == DONE else []
            acceptance.accept_result(step, note, [f"made from {origin.name}" for origin in origins[step]], entries)


def accept_step(
    verdicts: Verdicts, step: Step, lines: Iterable[str], note: str, finished: dict[str, list[dict]]
) -> Iterator[str]:
    """Accept one result, and what its training has left.

    Args:
        lines: what differs.
        finished: records by rule, as far as they were read.

    Yields:
        what was done, in lines.
    """
    is_accepted, obstacles = True, verdicts.obstacles(step)
    if obstacles:
        if step.rule not in finished:
            finished[step.rule] = acceptance.finished_records(verdicts, step.rule)
        is_accepted = acceptance.accept_files(step, note, obstacles, finished[step.rule])
    state = verdicts.verdict(step).state
    if state == STALE:
        acceptance.accept_result(step, note, verdicts.verdict(step).lines())
    yield from lines
    if not is_accepted:
        yield f"{step.work}: not accepted: made from another recipe, input or version of a library, or not recognised"
    elif state not in (STALE, DONE):
        verdicts.forget(step)
        yield f"{verdicts.verdict(step).state}: {verdicts.verdict(step).lines()[0]}"


def report(accepted: Iterable[tuple[Step, tuple[str, ...]]]) -> Iterator[str]:
    """Lines about what was accepted, once for results of a rule that differ in the same."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for step, lines in accepted:
        groups.setdefault((step.rule, lines), []).append(step.name)
    for (_, lines), names in groups.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield f"accepted: {join_comma(names[:SHOWN])}{more}"
        yield from (f"    {line}" for line in lines)


if __name__ == "__main__":
    cli.run(main)
