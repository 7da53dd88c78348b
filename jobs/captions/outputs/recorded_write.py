"""Writing a file beside an image so that the change can be taken back: the record comes before the file.

The write itself replaces the whole file in one step: `jobs/captions/text_files.py`.
"""

from __future__ import annotations

from pathlib import Path

from jobs.captions.text_files import fingerprint, write_output
from jobs.requests import address_of
from jobs.store.claims import Claim
from jobs.store.file_tables import WrittenFile
from jobs.store.tables import Job
from jobs.store.written.written_files import WrittenFiles


def write_recorded(
    path: Path, content: bytes, *, replaces: bytes | None, job: Job, kind: str, files: WrittenFiles, writer: str
) -> bool:
    """Write the file as `write_output` does, and return whether it is as wanted. A file that is right already is not touched.

    If the process dies after the record, the file is still as before, and `undo` finds nothing to take back. Raises
    ClaimLostError if another worker has taken over the job, which runs.
    """
    claim = Claim.of_running(job)
    if replaces == content:
        return True
    after = fingerprint(content)
    assert after is not None
    files.record(
        WrittenFile(
            job_id=job.id,
            kind=kind,
            path=address_of(path),
            before=replaces,
            before_sha256=fingerprint(replaces),
            after_sha256=after,
        ),
        claim,
    )
    return write_output(path, content, replaces=replaces, writer=writer, check=lambda: files.check(claim))
