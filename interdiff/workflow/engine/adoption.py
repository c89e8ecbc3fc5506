"""Tells Snakemake what the records beside the results say, where it knows nothing of them or something else.

Snakemake keeps what it knows in `.snakemake`, which stays behind when results are moved. Without it every file that is
in the right order of time counts as current, whatever made it, and every other file as outdated.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from interdiff.files import canonical_json
from interdiff.workflow.manifest import Manifest, placed_records

if TYPE_CHECKING:
    from snakemake.persistence import MetadataRecord, PersistenceBase
    from snakemake.workflow import Workflow


def adopt(results: str, workflow: Workflow) -> None:
    """Make Snakemake compare every recorded job with its settings, code and inputs of now."""
    if not workflow.is_main_process:
        return
    known = _persistence(workflow)
    for record in placed_records(Path(results)):
        _adopt(record, results, known)


def _adopt(record: Manifest, results: str, known: PersistenceBase) -> None:
    """Replace what Snakemake knows of a job's outputs, where its parameters or inputs are others than recorded."""
    from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord

    # As Snakemake keeps them: a sorted list of the parameters' representations, and a checksum for each input.
    params = sorted([repr(results), repr(canonical_json(record.spec))])
    checksums = {f"{results}/{name}": f"sha256:{digest}" for name, digest in record.inputs.items()}
    for name in record.outputs:
        output = f"{results}/{name}"
        if not _says(known._read_record(output), params, checksums):
            known._write_record(
                output,
                MetadataRecord(
                    record_format_version=RECORD_FORMAT_VERSION,
                    params=params,
                    input_checksums=checksums,
                    incomplete=False,
                ),
            )


def _says(known: MetadataRecord | None, params: list[str], checksums: dict[str, str]) -> bool:
    if known is None or known.params != params:
        return False
    return all(checksums.get(path, digest) == digest for path, digest in (known.input_checksums or {}).items())


def _persistence(workflow: Workflow) -> PersistenceBase:
    """What Snakemake will use, which it makes after it has read the rules."""
    from snakemake.persistence.db import DbPersistence
    from snakemake.persistence.file import FilePersistence
    from snakemake.settings.enums import PersistenceBackend

    settings = workflow.workflow_settings
    if settings.persistence_backend == PersistenceBackend.FILE:
        return FilePersistence()
    return DbPersistence(db_url=settings.persistence_backend_db_url)
