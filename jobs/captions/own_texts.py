"""Texts that captionq wrote, told from texts that a person wrote or changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jobs.captions.text_files import decode_text, fingerprint, is_blank, text_bytes
from jobs.captions.wording.composition import holds
from jobs.store.written.written_texts import WrittenText


def is_own(content: bytes, written: Iterable[WrittenText]) -> bool:
    """Check whether all of a file's content is captionq's own.

    A text that was added to a person's text is not: the person's words are in the same file.

    Args:
        content: of the file.
        written: the texts that were written to the file, the oldest first.
    """
    own = set[str | None]()
    for text in written:
        before = text.previous_text if text.joined else None
        if before is None or is_blank(before) or fingerprint(before) in own:
            own.add(text.output_after or fingerprint(text_bytes(text.addition)))
    return fingerprint(content) in own


def has_addition(content: bytes, path: Path, digest: str, written: Iterable[WrittenText]) -> bool:
    """Check whether a file has the text that an ended job with this digest added to it. Raises OutputOccupiedError.

    A person may have changed the rest of the file since. If the job ended otherwise than with success, its worker may have died
    before the file was written: then only the whole content tells.
    """
    ended = [text for text in written if text.digest == digest and not text.open]
    if any(text.output_after == fingerprint(content) for text in ended):
        return True
    additions = [text.addition for text in ended if text.succeeded]
    return bool(additions) and any(holds(decode_text(content, path), addition) for addition in additions)


def without_open_addition(content: bytes, digest: str, written: Iterable[WrittenText]) -> bytes | None:
    """Return the content before an open job with this digest wrote it; the content itself if none did.

    That job is about to end. A job that took its text for the text before would add the same answer to it once more.
    """
    for text in written:
        if text.open and text.digest == digest and text.output_after == fingerprint(content):
            return text.previous_text
    return content
