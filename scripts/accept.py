"""Keep stale results of a grid as still valid, for a change that you judge to be harmless.

    python scripts/accept.py tiny 64k 2 --note "only the logging of the optimiser changed"
    python scripts/accept.py all --step finetune --note "the new default is what we had set by hand"
    python scripts/accept.py --step corpus --note "the files were only renamed"

What differed, your note, your name and the time stay in the record, and tables carry the note. Snakemake does not plan
such a result any more; what changes after this makes it stale again. Nothing is accepted that rests on something which
is stale itself: accept that first.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable

from gridlaw import cli, io
from gridlaw.cli import Failure
from gridlaw.runtime import work
from gridlaw.views import console
from gridlaw.workflow import record
from gridlaw.workflow.states import DONE, STALE
from gridlaw.workflow.status import Verdicts, to_run
from gridlaw.workflow.steps import KINDS, OF_A_CELL, SINGLE, Step


def main() -> None:
    parser = console.parser(__doc__)
    parser.add_argument(
        "--step",
        choices=sorted(KINDS.keys() - SINGLE.keys()),
        help="only results of this rule",
    )
    parser.add_argument("--note", required=True, help="why they are valid still")
    args = parser.parse_args()
    if not args.note.strip():
        raise Failure("--note: empty; right would be why the results are valid still")
    if args.model is None and args.step in (None, *OF_A_CELL):
        raise Failure("no cell; right would be a model, its size and gpus, or all, or --step with a rule of no cell")
    verdicts = Verdicts(console.configuration(args))
    chosen = stale(verdicts, args)
    for step in chosen:
        refuse(verdicts, step, to_run(verdicts) - set(chosen))
    for step in chosen:
        mark(step, args.note, verdicts.of(step).lines(), basis(step))
    # Tables are made of these: whoever reads them should know.
    for step, origins in resting(verdicts, chosen).items():
        if step.rule in ("pretrain", "score") and step not in chosen and verdicts.record(step.record):
            mark(step, args.note, [f"made from {origin.name}" for origin in origins], {})
    for step in chosen:
        print(f"accepted: {step.name}", *(f"    {line}" for line in verdicts.of(step).lines()), sep="\n")


def stale(verdicts: Verdicts, args: Namespace) -> list[Step]:
    """The results that the command line means and that are stale by themselves, upstream first."""
    cells = console.cells(args, verdicts.config) if args.model else [None]
    found = [step for step in verdicts.steps if step.cell in cells and args.step in (None, step.rule)]
    found = [step for step in found if verdicts.of(step).state == STALE and not step.kind.single]
    if not found:
        raise Failure("nothing is stale there by its record; python scripts/explain.py shows what is")
    return found


def refuse(verdicts: Verdicts, step: Step, due: set[Step]) -> None:
    """Refuse a result that somebody makes right now, or that rests on one which is to be made again.

    Args:
        due: the steps that are to be made, those left out which are accepted as well.
    """
    if work.is_held(step.work):
        raise Failure(f"{step.name} is being made by another process")
    for earlier in step.ancestors():
        if earlier in due and verdicts.of(earlier).state != DONE:
            lines = "; ".join(verdicts.of(earlier).lines())
            first = f" {' '.join(map(str, earlier.cell))}" if earlier.cell else ""
            raise Failure(
                f"{step.name} rests on {earlier.name}, which is {verdicts.of(earlier).state} itself"
                f"{f' ({lines})' if lines else ''}; right would be to accept or make that first: accept.py{first}"
                f" --step {earlier.rule}"
            )


def basis(step: Step) -> dict:
    """What a result is held valid for from now on."""
    used = io.read_json(step.record)["inputs"]
    inputs = {file: io.digest(file) or used.get(file) for file in step.inputs}
    return {
        "recipe": step.recipe,
        "code": step.code,
        "definitions": step.definitions,
        "inputs": inputs,
    }


def mark(step: Step, note: str, differed: Iterable[str], basis: dict) -> None:
    """Write into a result's record that it was accepted, by whom, and what differed."""
    made = io.read_json(step.record)
    entry = record.signed(note=note, differed=list(differed), basis=basis)
    io.write_json(step.record, made | {"accepted": [*made.get("accepted", []), entry]})


def resting(verdicts: Verdicts, chosen: list[Step]) -> dict[Step, list[Step]]:
    """Results that come from some others, each with those."""
    found: dict[Step, list[Step]] = {}
    for step in verdicts.steps:
        origins = [origin for earlier in step.after for origin in found.get(earlier, [])]
        origins += [earlier for earlier in step.after if earlier in chosen]
        if origins:
            found[step] = list(dict.fromkeys(origins))
    return found


if __name__ == "__main__":
    cli.run(main)
