"""A person's edit in the files of a run other than the text: JSON file, XMP sidecar, image."""

from __future__ import annotations

from jobs.captions.outputs.embedding import embed_caption
from jobs.captions.outputs.exiftool import ExifTool
from jobs.captions.outputs.late_outputs import result_of
from jobs.captions.outputs.side_files import SideFiles
from jobs.store.store import Store
from jobs.store.tables import Job
from jobs.store.written.written_files import WrittenFiles


def write_edit_beside(job: Job, caption: str, store: Store, writer: str) -> None:
    """Write a caption into those of the job's other files that the job or an export has written.

    Raises OutputError, ForbiddenError: a file was changed by another program, or cannot be written. An edit that is repeated
    finds the files right that were written before.
    """
    kinds, delivery = WrittenFiles(store.engine).kinds(job.id), job.parsed_delivery()
    if beside := tuple(kind for kind in ("json", "xmp") if kind in kinds):
        chosen = delivery.model_copy(update={"output": beside})
        SideFiles(store, writer).write(job, caption, result_of(job), chosen, replaced=job.caption)
    if "embed" in kinds:
        with ExifTool() as exiftool:
            embed_caption(job, caption, store, writer, exiftool, replaced=job.caption)
