"""Records in the place of Snakemake's metadata, which lies in .snakemake and knows only what was run in that folder.

Snakemake asks its metadata what made a result. Of an unpacked archive, or of results kept over a fresh clone, it has
none, and takes what is stale as current and what was merely copied in another order as new. A record lies beside its
result and knows. Nothing is written: where Snakemake has no metadata, or a person has accepted or adopted the result
since, it is handed what the record says; and whatever its metadata says, it is told what is stale, and why. After a
kill, it is told that no result of a step is incomplete: a record is the last thing that a step writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord, ParamsChange, PersistenceBase

from gridlaw import record
from gridlaw.steps import Step
from gridlaw.verdicts import STALE, Verdicts

# Files up to which Snakemake tells an input that is another from one that is merely newer, in bytes. By default it is a
# megabyte, and predictions of a large task are more.
COMPARED = 64 << 20


class Stale(ParamsChange):
    """What Snakemake prints as a job's reason."""

    def __init__(self, reasons: Iterable[str], files: Iterable[str]):
        super().__init__(only_old=set(reasons), files=set(files))

    def __str__(self) -> str:
        return "; ".join(sorted(self.only_old))


def ask_records(persistence: PersistenceBase, verdicts: Verdicts) -> None:
    """Have Snakemake's persistence, of whichever kind, ask records too."""

    class Recorded(type(persistence)):
        def metadata(self, target) -> MetadataRecord | None:
            return answer(str(target), target)

        def params_changed(self, job, file=None) -> bool | ParamsChange:
            step = verdicts.steps.of(str(job.output[0])) if job.output else None
            if step and verdicts.of(step).state == STALE:
                return Stale(verdicts.of(step).lines(), job.output)
            return super().params_changed(job, file)

        async def incomplete(self, job) -> list:
            step = verdicts.steps.of(str(job.output[0])) if job.output else None
            return [] if step else await super().incomplete(job)

        def _clear_cache(self) -> None:
            answer.cache_clear()
            super()._clear_cache()

    # Snakemake asks a dozen times of each output, one job after the other.
    @lru_cache(maxsize=64)
    def answer(file: str, target) -> MetadataRecord | None:
        known = super(Recorded, persistence).metadata(target)
        step = verdicts.steps.of(file)
        made = verdicts.record(step.record) if step else None
        if made is None or (known is not None and not record.is_marked(made)):
            return known
        return restored(step)

    @lru_cache(maxsize=64)
    def restored(step: Step) -> MetadataRecord:
        return _restored(step.rule, verdicts.record(step.record))

    persistence.__class__ = Recorded
    for one in (persistence, persistence.dag):
        one.max_checksum_file_size = max(one.max_checksum_file_size, COMPARED)


def _restored(rule: str, made: dict) -> MetadataRecord:
    """A record as Snakemake's metadata. What it leaves out is not compared."""
    started = datetime.fromisoformat(made["started"]).timestamp()
    return MetadataRecord(
        rule=rule,
        record_format_version=RECORD_FORMAT_VERSION,
        starttime=started,
        endtime=started + made["wall_seconds"],
        input_checksums={file: f"sha256:{digest}" for file, digest in record.basis(made)["inputs"].items()},
    )
