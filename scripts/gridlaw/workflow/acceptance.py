"""Acceptance: a person holds a result valid, or what an unfinished training has left, although something differs.

The record of a result, or `basis.json` in the work folder of a training, gets one more entry: the note, what differed,
who and when, and the basis that is valid from then on. Each is one atomic write, and nothing else is touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import permutations, product

from gridlaw import io
from gridlaw.canonical_json import normal
from gridlaw.workflow import record, work_folder
from gridlaw.workflow.status import Verdicts
from gridlaw.workflow.steps import Step

# Entries of a record that say what a result was made from.
BASIS = ("recipe", "code", "definitions", "inputs")
# Digests of the training programs of version 0.1, whose work folders hold nothing but a fingerprint.
EARLIER_CODE = {"trunk": "add1c2cb331e", "pretrain": "1bf1e46bab2b", "finetune": "bba7837a4feb"}


def present_basis(step: Step, inputs: Mapping[str, str]) -> dict:
    """Return what the result of a step would be made from now.

    Args:
        inputs: digests of inputs that count where a file is missing now.
    """
    digests = {file: io.digest(file) or inputs.get(file) for file in step.inputs}
    return {
        "recipe": normal(step.recipe),
        "code": step.code,
        "definitions": step.definitions,
        "inputs": {file: digest for file, digest in digests.items() if digest},
    }


def accept_result(step: Step, note: str, differed: Iterable[str], entries: Collection[str] = BASIS) -> None:
    """Write into the record of a result that it is accepted.

    Args:
        note: why it is valid.
        differed: what differed, a line each.
        entries: those of its basis that are the present ones from now on.
    """
    facts = io.read_json(step.record)
    present = present_basis(step, record.basis(facts).get("inputs", {})) if entries else {}
    basis = {name: present[name] for name in entries}
    entry = record.signed(note=note, differed=list(differed), basis=basis)
    io.write_json(step.record, facts | {"accepted": [*facts.get("accepted", []), entry]})


def accept_files(step: Step, note: str, differed: Iterable[str], finished: Collection[dict]) -> bool:
    """Write into the work folder of a training that its files are accepted, so that the next attempt uses them.

    Args:
        note: why they are valid.
        differed: what differed, a line each.
        finished: records of results of the same rule, which hold digests of earlier versions of the code.

    Returns:
        whether it was possible: it is not if version 0.1 made them from another recipe, input or library.

    Raises:
        Failure: another process holds the folder.
    """
    with work_folder.claim(step.work):
        facts, fingerprint = work_folder.read_basis(step.work), work_folder.read_earlier_fingerprint(step.work)
        known = record.basis(facts or io.find_json(step.record) or {}).get("inputs", {})
        present = present_basis(step, known) | {"libraries": record.libraries()}
        basis = work_folder.fixed(present, step.kind.extendable)
        if fingerprint:
            facts = recognise(fingerprint, basis, EARLIER_CODE[step.rule], finished)
        if facts is None:
            return False
        entry = record.signed(note=note, differed=list(differed), basis=basis)
        work_folder.write_basis(step.work, facts | {"accepted": [*facts.get("accepted", []), entry]})
    return True


def recognise(fingerprint: str, basis: dict, code: str, finished: Collection[dict]) -> dict | None:
    """Find what the files in a work folder of version 0.1 were computed with.

    Version 0.1 stored a hash alone. It is computed anew from what it may have been taken over: the present recipe,
    maybe without an entry that is new; the present inputs, in any order; the code and the libraries of that version.

    Args:
        fingerprint: the hash.
        basis: the present basis.
        code: digest of the program in that version.
        finished: records of results of the same rule, which may hold digests of other earlier versions.

    Returns:
        the content for the folder's `basis.json`; None if it is something else.
    """
    recipe = basis["recipe"]
    recipes = [recipe, *({name: recipe[name] for name in recipe if name != new} for new in recipe)]
    codes = {code: {}} | {facts["code"]: facts.get("definitions", {}) for facts in finished}
    environments = [facts["environment"] for facts in finished if "environment" in facts]
    libraries = {tuple(basis["libraries"].items()): None}
    libraries |= {
        tuple((name, known[name]) for name in record.LIBRARIES if name in known): None for known in environments
    }
    for recipe, code, versions, inputs in product(recipes, codes, libraries, permutations(basis["inputs"].items())):
        known = {"recipe": recipe, "code": code, "inputs": dict(inputs), "libraries": dict(versions)}
        if record.fingerprint(known) == fingerprint:
            return {"fingerprint": fingerprint, **known, "definitions": codes[code]}
    return None


def finished_records(verdicts: Verdicts, rule: str) -> list[dict]:
    """Read the records of a rule's results, one for each version of code and libraries."""
    distinct = {}
    for step in verdicts.steps:
        facts = io.find_json(step.record) if step.rule == rule else None
        if facts and "code" in facts:
            versions = [facts.get("environment", {}).get(name) for name in record.LIBRARIES]
            distinct.setdefault((facts["code"], *versions), facts)
    return list(distinct.values())
