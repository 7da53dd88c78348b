"""The JSON file and the XMP sidecar of an image. Files and descriptions of other programs and of people stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

from jobs.captions.outputs.job_record import caption_record
from jobs.captions.outputs.recorded_write import write_recorded
from jobs.captions.outputs.side_names import json_path, xmp_path
from jobs.captions.outputs.xmp_packet import description_of, with_caption
from jobs.captions.text_files import check_place, fingerprint, read_output, shown
from jobs.errors import OutputChangedError, OutputOccupiedError
from jobs.options.delivery import DeliveryOptions
from jobs.requests import address_of, path_of
from jobs.store.result import Result
from jobs.store.store import Store
from jobs.store.tables import Job
from jobs.store.written.written_files import WrittenFiles

#: Characters around a keyword that belong to the list, such as bullets and quotes.
_AROUND = " \t\r.-*•\"'`"


class SideFiles:
    """Writes the files that an image gets beside its text."""

    def __init__(self, store: Store, writer: str) -> None:
        self._store = store
        self._files = WrittenFiles(store.engine)
        self._writer = writer

    def write(
        self, job: Job, text: str, result: Result, delivery: DeliveryOptions, *, replaced: str | None = None
    ) -> None:
        """Write the files that the options choose.

        Args:
            job: with an image file, and the address of its text.
            text: the caption.
            result: the answer's.
            delivery: the options.
            replaced: the caption before a person's edit: keywords that only this one has are removed.

        Raises OutputError, ForbiddenError.
        """
        assert job.source is not None
        assert job.output is not None
        output = path_of(job.output)
        if "json" in delivery.output:
            self._write_json(json_path(output), job, caption_record(job, text, result))
        if "xmp" in delivery.output:
            self._write_xmp(xmp_path(path_of(job.source), output), job, text, delivery, replaced)

    def _write_json(self, path: Path, job: Job, record: dict[str, object]) -> None:
        check_place(path, job.parsed_roots())
        there = read_output(path)
        if there is not None and not self._is_own(path, there):
            raise foreign_json(path)
        content = json.dumps(record, ensure_ascii=False, indent=2).encode(errors="replace") + b"\n"
        self._write(path, content, there, job, "json")

    def _write_xmp(self, path: Path, job: Job, text: str, delivery: DeliveryOptions, replaced: str | None) -> None:
        check_place(path, job.parsed_roots())
        there = read_output(path)
        try:
            keeps = there is not None and not (delivery.force or self._is_own(path, there))
            description, keywords = metadata_of(
                text, delivery, there=description_of(there) if keeps and there else "", own=own_texts(job, self._store)
            )
            removed = removed_keywords(replaced, keywords, delivery)
            if description is None and not keywords and not removed:
                return
            content = with_caption(there, description, keywords, removed)
        except ValueError as error:
            raise OutputOccupiedError(f"{shown(path)} is no XMP sidecar. Move it away, then try again.") from error
        self._write(path, content, there, job, "xmp")

    def _is_own(self, path: Path, content: bytes) -> bool:
        return fingerprint(content) in self._files.hashes([address_of(path)]).get(address_of(path), ())

    def _write(self, path: Path, content: bytes, there: bytes | None, job: Job, kind: str) -> None:
        if not write_recorded(
            path, content, replaces=there, job=job, kind=kind, files=self._files, writer=self._writer
        ):
            raise OutputChangedError(
                f"{shown(path)} was changed while it was written; it was left as it is. Try again."
            )


def foreign_json(path: Path) -> OutputChangedError:
    """Return the error of a JSON file that is in the way."""
    return OutputChangedError(
        f"{shown(path)} was not written by captionq, or was changed since; it was left as it is. Move it away, then try again."
    )


def metadata_of(
    text: str, delivery: DeliveryOptions, *, there: str, own: Collection[str]
) -> tuple[str | None, list[str]]:
    """Return the description (None: it stays as it is) and the keywords that a caption becomes.

    Args:
        text: the caption.
        delivery: the options of the run.
        there: the description that is there, unless it may be replaced.
        own: texts that captionq wrote about this image.
    """
    if delivery.keywords:
        return None, keywords_of(text)
    is_foreign = bool(there.strip()) and there.strip() not in {one.strip() for one in own}
    return (None if is_foreign else text.strip() or None), []


def removed_keywords(replaced: str | None, keywords: Collection[str], delivery: DeliveryOptions) -> list[str]:
    """Return the keywords of a caption that a person replaced by one with these keywords; None: no caption is replaced."""
    old = keywords_of(replaced) if replaced is not None and delivery.keywords else []
    return [one for one in old if one not in keywords]


def keywords_of(text: str) -> list[str]:
    """Split a caption into its keywords, each once."""
    parts = (part.strip(_AROUND) for part in re.split(r"[,;\n]", text))
    return list(dict.fromkeys(part for part in parts if part))


def own_texts(job: Job, store: Store) -> set[str]:
    """Return the texts that captionq wrote about the job's image, an unfinished attempt's and the job's edit included."""
    assert job.output is not None
    written = {text.addition for text in store.written([job.output]).get(job.output, ())}
    return written | {text for text in (job.new_text, job.edited_text) if text}
