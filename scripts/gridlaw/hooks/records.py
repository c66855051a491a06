"""Records instead of Snakemake's metadata.

Snakemake reads from its metadata, in .snakemake, how a result was made. An unpacked archive, or a fresh clone with old
results, has no metadata. Snakemake then takes stale results as current, and results that were copied in another order
as changed. Each result has a record beside it, so this module lets Snakemake read records:

- Without metadata, or if the user has accepted or adopted the result, Snakemake gets the content of the record.
- Whatever the metadata says, Snakemake learns from the records which results are stale, and why.
- After a kill, no result counts as incomplete, because a step writes its record last.

Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord, ParamsChange, PersistenceBase

from gridlaw.hooks.jobs import step_of
from gridlaw.workflow import record
from gridlaw.workflow.status import STALE, Verdicts
from gridlaw.workflow.steps import Step


class Stale(ParamsChange):
    """The reason of a job, as Snakemake prints it."""

    def __init__(self, reasons: Iterable[str], files: Iterable[str]):
        super().__init__(only_old=set(reasons), files=set(files))

    def __str__(self) -> str:
        return "; ".join(sorted(self.only_old))


def ask_records(persistence: PersistenceBase, verdicts: Verdicts) -> None:
    """Make Snakemake's persistence, of any class, read records too."""

    class WithRecords(type(persistence)):
        def metadata(self, target) -> MetadataRecord | None:
            return answer(str(target), target)

        def params_changed(self, job, file=None) -> bool | ParamsChange:
            step = step_of(job, verdicts.steps)
            if step and verdicts.verdict(step).state == STALE:
                return Stale(verdicts.verdict(step).lines(), job.output)
            return super().params_changed(job, file)

        def code_changed(self, job, file=None) -> bool | Iterable[str]:
            # A command supervises its program; what that computes with is in its recipe, its code and its inputs.
            if step_of(job, verdicts.steps) is None:
                return super().code_changed(job, file)
            return () if file is None else False

        async def incomplete(self, job) -> list:
            return [] if step_of(job, verdicts.steps) else await super().incomplete(job)

        def _clear_cache(self) -> None:
            answer.cache_clear()
            super()._clear_cache()

    # Snakemake asks a dozen times for each output, one job after the other.
    @lru_cache(maxsize=64)
    def answer(file: str, target) -> MetadataRecord | None:
        metadata = super(WithRecords, persistence).metadata(target)
        step = verdicts.steps.find(file)
        facts = verdicts.record(step.record) if step and file in step.outputs else None
        if facts is None or (metadata is not None and not record.is_marked(facts)):
            return metadata
        return restored(step)

    @lru_cache(maxsize=64)
    def restored(step: Step) -> MetadataRecord:
        return _restored(step.rule, verdicts.record(step.record))

    persistence.__class__ = WithRecords


def _restored(rule: str, facts: dict) -> MetadataRecord:
    """Return a record as Snakemake's metadata; Snakemake does not compare fields that are left out."""
    started = datetime.fromisoformat(facts["started"]).timestamp()
    return MetadataRecord(
        rule=rule,
        record_format_version=RECORD_FORMAT_VERSION,
        starttime=started,
        endtime=started + facts["wall_seconds"],
        input_checksums={file: f"sha256:{digest}" for file, digest in record.basis(facts)["inputs"].items()},
    )
