"""Captions inside image files, as IPTC and XMP, written by exiftool. The pixels stay bit-identical, and so does a backup."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path

from jobs.captions.outputs.exiftool import ExifTool
from jobs.captions.outputs.side_files import metadata_of, own_texts, removed_keywords
from jobs.captions.temporary_files import temporary_name
from jobs.captions.text_files import check_place, shown
from jobs.captions.writable_folders import write_error
from jobs.errors import CaptionqError, NotEmbeddableError, OutputChangedError, OutputOccupiedError
from jobs.requests import address_of, path_of
from jobs.store.claims import Claim
from jobs.store.file_tables import WrittenFile
from jobs.store.store import Store
from jobs.store.tables import Job
from jobs.store.written.written_files import WrittenFiles

#: Backups that an image may have.
MAX_BACKUPS = 1_000
#: As exiftool names its backups.
_ORIGINAL = "_original"
_DESCRIPTION, _CAPTION = "XMP-dc:Description", "IPTC:Caption-Abstract"


def embed_caption(
    job: Job, text: str, store: Store, writer: str, exiftool: ExifTool, *, replaced: str | None = None
) -> None:
    """Write a caption into the job's image file. If an earlier attempt did so, nothing is written.

    The new file is written beside the old one and takes its place in one step; the old file stays as `photo.jpg_original`.

    `replaced`: the caption before a person's edit: keywords that only this one has are removed.

    Raises MissingToolError, OutputError, ForbiddenError, ClaimLostError.
    """
    assert job.source is not None
    image, files = path_of(job.source), WrittenFiles(store.engine)
    check_place(image, job.parsed_roots())
    temporary = image.with_name(temporary_name(writer))
    try:
        _check_kind(image)
        with open(image, "rb", opener=_open_image) as old:
            before = _sha256(old)
            own = before in files.hashes([address_of(image)]).get(address_of(image), ())
            is_done = own and replaced is None and job.text is not None and job.new_text == text
            if is_done:
                return
            exiftool.take(old)
            if not (values := _values(job, text, exiftool, store, own=own, replaced=replaced)):
                return
            with temporary.open("xb") as new:
                _write_metadata(exiftool, values, new, shown(image))
            _take_place(image, temporary, old, before, job, files)
    except OSError as error:
        raise write_error(f"{shown(image)} could not be written", error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def is_embedded(image: Path, store: Store) -> bool:
    """Check whether an image file is as captionq has left it when it wrote a caption into it."""
    address = address_of(image)
    written = WrittenFiles(store.engine).hashes([address]).get(address)
    return written is not None and file_sha256(image) in written


def file_sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex digits; None: there is no file, or it is not a regular one."""
    try:
        with open(path, "rb", opener=_open_image) as file:
            return _sha256(file) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except OSError:
        return None


def _check_kind(image: Path) -> None:
    if not stat.S_ISREG(image.lstat().st_mode):
        raise _not_embeddable(f"{shown(image)} is not a regular file, so nothing was written into it")


def _not_embeddable(reason: str) -> NotEmbeddableError:
    return NotEmbeddableError(f"{reason}. For its other files, run this again without --embed.")


def _values(
    job: Job, text: str, exiftool: ExifTool, store: Store, *, own: bool, replaced: str | None
) -> list[tuple[str, str]]:
    """Return the new values of the image's tags; none: nothing is to be written.

    A description that a person wrote stays, unless it may be replaced.
    """
    delivery, there = job.parsed_delivery(), exiftool.read([_DESCRIPTION, "IPTC:all"])
    description = "" if own or delivery.force else str(there.get(_DESCRIPTION) or there.get(_CAPTION) or "")
    wanted, keywords = metadata_of(
        text.replace("\0", "\N{REPLACEMENT CHARACTER}"), delivery, there=description, own=own_texts(job, store)
    )
    values = [] if wanted is None else [(f"{_DESCRIPTION}=", wanted), (f"{_CAPTION}=", wanted)]
    for keyword in removed_keywords(replaced, keywords, delivery):
        values += [(f"{name}-=", keyword) for name in ("XMP-dc:Subject", "IPTC:Keywords")]
    for keyword in keywords:
        # Removed first, so that none stands there twice.
        values += [(f"{name}{sign}=", keyword) for name in ("XMP-dc:Subject", "IPTC:Keywords") for sign in "-+"]
    iptc = {name: value for name, value in there.items() if name.startswith("IPTC:")}
    if values and not iptc:
        values.append(("IPTC:CodedCharacterSet=", "UTF8"))
    elif iptc.get("IPTC:CodedCharacterSet") != "UTF8":
        _make_room_for("".join(value for _, value in values), iptc.values(), exiftool)
    return values


def _make_room_for(text: str, there: Iterable[object], exiftool: ExifTool) -> None:
    """Convert IPTC that does not name its encoding to UTF-8, if the encoding that it seems to have cannot hold the text.

    exiftool takes it for Windows-1252. Many programs write UTF-8 without saying so.
    """
    if _is_unmarked_utf8(there):
        if not text.isascii():
            exiftool.recode_iptc("UTF8")
    elif text.encode("cp1252", errors="ignore").decode("cp1252") != text:
        exiftool.recode_iptc("Latin")


def _is_unmarked_utf8(values: Iterable[object]) -> bool:
    """Check whether texts that were read as Windows-1252 are UTF-8."""
    text = "\n".join(str(part) for value in values for part in (value if isinstance(value, list) else [value]))
    try:
        text.encode("cp1252").decode()
    except UnicodeError:
        return False
    return True


def _write_metadata(exiftool: ExifTool, values: Sequence[tuple[str, str]], new: BufferedWriter, name: str) -> None:
    written = exiftool.write(values)
    if isinstance(written, str):
        raise _not_embeddable(f"exiftool could not write into {name}: {written}")
    with written.open("rb") as copy:
        shutil.copyfileobj(copy, new, 1 << 20)
    new.flush()
    os.fsync(new.fileno())


def _take_place(image: Path, temporary: Path, old: BufferedReader, before: str, job: Job, files: WrittenFiles) -> None:
    """Record the change, keep the old file, and give the new file its name."""
    after = file_sha256(temporary)
    assert after is not None
    if after == before:
        return
    backup, claim = _backup_name(image, before), Claim.of_running(job)
    state = os.fstat(old.fileno())
    files.record(
        WrittenFile(
            job_id=job.id,
            kind="embed",
            path=address_of(image),
            before_sha256=before,
            backup=address_of(backup),
            after_sha256=after,
        ),
        claim,
    )
    is_new = _keep(image, backup)
    # Some file systems (SMB, exFAT) refuse to change a mode.
    with suppress(OSError):
        temporary.chmod(state.st_mode & 0o777)
    os.utime(temporary, ns=(state.st_atime_ns, state.st_mtime_ns))
    try:
        files.check(claim)
        _check_unchanged(image, state)
    except CaptionqError:
        if is_new:
            backup.unlink()
        raise
    temporary.replace(image)


def _check_unchanged(image: Path, state: os.stat_result) -> None:
    now = image.lstat()
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (state.st_ino, state.st_size, state.st_mtime_ns):
        raise OutputChangedError(f"{shown(image)} was changed while its caption was written into it. Run it again.")


def _backup_name(image: Path, before: str) -> Path:
    """Return the first free name, or that of a backup of the same content: an earlier attempt's."""
    for number in range(1, MAX_BACKUPS):
        backup = image.with_name(f"{image.name}{_ORIGINAL}{f'_{number}' if number > 1 else ''}")
        if not os.path.lexists(backup) or file_sha256(backup) == before:
            return backup
    raise OutputOccupiedError(f"{shown(image)} has too many backups ({_ORIGINAL}). Move them away, then try again.")


def _keep(image: Path, backup: Path) -> bool:
    """Give the old file a second name, or copy it where no file can have two names. False: the backup was there."""
    if backup.exists():
        return False
    try:
        os.link(image, backup)
    except OSError:
        copy = backup.with_name(temporary_name("backup"))
        shutil.copy2(image, copy)
        copy.replace(backup)
    return True


def _sha256(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _open_image(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
