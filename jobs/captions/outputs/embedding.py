"""Captions inside image files, as IPTC and XMP, written by exiftool. The pixels stay bit-identical, and so does a backup."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any

from jobs.captions.outputs.side_files import metadata_of, own_texts
from jobs.captions.temporary_files import temporary_name
from jobs.captions.text_files import check_place, shown
from jobs.captions.writable_folders import write_error
from jobs.errors import MissingToolError, OutputChangedError, OutputError, OutputOccupiedError, first_line
from jobs.requests import path_of
from jobs.store.file_tables import WrittenFile
from jobs.store.store import Store
from jobs.store.tables import Job
from jobs.store.written.written_files import WrittenFiles

#: Seconds that exiftool may take for a file.
PATIENCE = 120
#: Backups that an image may have.
MAX_BACKUPS = 1_000
#: As exiftool names its backups.
_ORIGINAL = "_original"
_DESCRIPTION, _CAPTION = "XMP-dc:Description", "IPTC:Caption-Abstract"


def find_exiftool() -> str:
    """Return the path of exiftool. Raises MissingToolError."""
    found = shutil.which("exiftool")
    if found is None:
        raise MissingToolError(
            "To write captions into image files, captionq needs exiftool, which is not installed. On a Mac: "
            "brew install exiftool; on Debian and Ubuntu: apt install libimage-exiftool-perl."
        )
    return found


def embed_caption(job: Job, text: str, store: Store, writer: str) -> None:
    """Write a caption into the job's image file. If an earlier attempt did so, nothing is written.

    The new file is written beside the old one and takes its place in one step; the old file stays as `photo.jpg_original`.

    Raises MissingToolError, OutputError, ForbiddenError.
    """
    assert job.source is not None
    image, files = path_of(job.source), WrittenFiles(store.engine)
    check_place(image, job.parsed_roots())
    temporary = image.with_name(temporary_name(writer))
    try:
        _check_kind(image)
        with open(image, "rb", opener=_open_image) as old:
            before = _sha256(old)
            own = before in files.hashes([image.as_uri()]).get(image.as_uri(), ())
            is_done = own and job.text is not None and job.new_text == text
            if is_done or not (arguments := _arguments(job, text, old, store, own=own)):
                return
            with temporary.open("xb") as new:
                _write_metadata(old, new, arguments, shown(image))
            _take_place(image, temporary, old, before, job, files)
    except OSError as error:
        raise write_error(f"{shown(image)} could not be written", error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def file_sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex digits; None: there is no file, or it is not a regular one."""
    try:
        with open(path, "rb", opener=_open_image) as file:
            return _sha256(file) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except OSError:
        return None


def _check_kind(image: Path) -> None:
    if not stat.S_ISREG(image.lstat().st_mode):
        raise OutputOccupiedError(f"{shown(image)} is not a regular file, so nothing was written into it.")


def _arguments(job: Job, text: str, old: BufferedReader, store: Store, *, own: bool) -> list[str]:
    """Return exiftool's arguments for the caption; none: nothing is to be written.

    A description that a person wrote stays, unless it may be replaced.
    """
    delivery, there = job.parsed_delivery(), _read_metadata(old)
    description = "" if own or delivery.force else str(there.get(_DESCRIPTION) or there.get(_CAPTION) or "")
    wanted, keywords = metadata_of(
        text.replace("\0", "\N{REPLACEMENT CHARACTER}"), delivery, there=description, own=own_texts(job, store)
    )
    arguments = [] if wanted is None else [f"-{_DESCRIPTION}={wanted}", f"-{_CAPTION}={wanted}"]
    for keyword in keywords:
        # Removed first, so that none stands there twice.
        arguments += [f"-{name}{sign}={keyword}" for name in ("XMP-dc:Subject", "IPTC:Keywords") for sign in "-+"]
    if arguments and not any(name.startswith("IPTC:") for name in there):
        arguments.append("-IPTC:CodedCharacterSet=UTF8")
    return arguments


def _read_metadata(image: BufferedReader) -> dict[str, Any]:
    ran = _run(["-json", "-G1", "-XMP-dc:Description", "-IPTC:all", "-"], image, subprocess.PIPE)
    try:
        return dict(json.loads(ran.stdout)[0])
    except (ValueError, LookupError, TypeError):
        return {}


def _write_metadata(old: BufferedReader, new: BufferedWriter, arguments: Sequence[str], name: str) -> None:
    # The image goes through pipes, so no name of a file can be taken for an option or a pattern. -m: long captions are
    # written whole.
    ran = _run(["-quiet", "-m", *arguments, "-o", "-", "-"], old, new)
    new.flush()
    os.fsync(new.fileno())
    if ran.returncode != 0 or not os.fstat(new.fileno()).st_size:
        lines = [line for line in ran.stderr.decode(errors="replace").splitlines() if line.strip()]
        reason = lines[0].removeprefix("Error: ").removesuffix(" - -") if lines else "it gave no reason"
        raise OutputOccupiedError(f"exiftool could not write into {name}: {reason}.")


def _run(arguments: Sequence[str], image: BufferedReader, output: Any) -> subprocess.CompletedProcess[bytes]:
    image.seek(0)
    # -config with an empty name: a person's own configuration changes nothing.
    command = [find_exiftool(), "-config", "", *arguments]
    try:
        return subprocess.run(
            command, stdin=image, stdout=output, stderr=subprocess.PIPE, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise OutputError(f"exiftool did not end within {PATIENCE} seconds.") from error
    except (OSError, ValueError) as error:
        raise OutputError(f"exiftool could not be started: {first_line(error)}.") from error


def _take_place(image: Path, temporary: Path, old: BufferedReader, before: str, job: Job, files: WrittenFiles) -> None:
    """Record the change, keep the old file, and give the new file its name."""
    after = file_sha256(temporary)
    assert after is not None
    if after == before:
        return
    backup = _backup_name(image, before)
    state = os.fstat(old.fileno())
    files.record(
        WrittenFile(
            job_id=job.id,
            kind="embed",
            path=image.as_uri(),
            before_sha256=before,
            backup=backup.as_uri(),
            after_sha256=after,
        )
    )
    is_new = _keep(image, backup)
    # Some file systems (SMB, exFAT) refuse to change a mode.
    with suppress(OSError):
        temporary.chmod(state.st_mode & 0o777)
    os.utime(temporary, ns=(state.st_atime_ns, state.st_mtime_ns))
    now = image.lstat()
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (state.st_ino, state.st_size, state.st_mtime_ns):
        if is_new:
            backup.unlink()
        raise OutputChangedError(f"{shown(image)} was changed while its caption was written into it. Run it again.")
    temporary.replace(image)


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
