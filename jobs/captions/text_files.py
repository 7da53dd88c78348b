"""Reading and writing text files beside images: readers find the old text or the whole new text, and no other file is harmed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from jobs.captions.temporary_files import temporary_name
from jobs.captions.text_objects import read_text_object, remove_text_object, write_text_object
from jobs.captions.writable_folders import write_error
from jobs.disk.durable_files import sync_folder
from jobs.disk.new_names import give_name
from jobs.errors import ForbiddenError, OutputOccupiedError
from jobs.faults import FaultPoint, point
from jobs.images.allowed_roots import is_below
from jobs.objects.paths import is_object

#: Maximum bytes of a text; a larger file is not a text.
LARGEST_TEXT = 4_000_000
#: The first bytes of pictures. Most pictures also hold NUL bytes, as other binary files do.
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"RIFF")
#: The first bytes of texts in UTF-16, which hold NUL bytes.
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: The marks that a text may begin with, and their encodings.
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (_UTF16[0], "utf-16-le"), (_UTF16[1], "utf-16-be"))
#: Bytes that Windows-1252 leaves undefined, decoded with `surrogateescape`: they become control characters, as in browsers.
_UNDEFINED = {0xDC00 + byte: byte for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}


def text_bytes(text: str) -> bytes:
    """Encode an answer as a file's content, with one line end. As in the database, NUL becomes the replacement character."""
    return (text.replace("\0", "\N{REPLACEMENT CHARACTER}").rstrip("\n") + "\n").encode()


def fingerprint(content: bytes | None) -> str | None:
    """Return the SHA-256 of a file's content in hex digits; None: there is no file."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def is_blank(content: bytes) -> bool:
    """Check whether a text has nothing but white space in it, and perhaps a mark of its encoding."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return not content.removeprefix(mark).decode(encoding, errors="replace").strip()
    return not content.decode(errors="replace").strip()


def decode_text(content: bytes, path: Path) -> str:
    """Decode a person's text, to which an answer is added: UTF-8 or UTF-16 with their marks, UTF-8 without, else Windows-1252.

    Every character stays; the mark does not. The joined text is written in UTF-8, whatever the encoding was. Raises
    OutputOccupiedError for UTF-16 that is damaged; `path` is named there.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            content = content.removeprefix(mark)
            if encoding != "utf-8":
                try:
                    return content.decode(encoding)
                except UnicodeDecodeError:
                    raise _occupied(shown(path), "not a text file") from None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="surrogateescape").translate(_UNDEFINED)


def check_place(path: Path, roots: Sequence[Path] | None) -> None:
    """Check that the file's folder lies below one of the `roots`; None: anywhere. Raises ForbiddenError."""
    if roots is not None and not is_below(path.parent, roots):
        raise ForbiddenError("The text file would lie outside the folders that are served.")


def read_output(path: Path) -> bytes | None:
    """Read the text file; None: there is none.

    Raises OutputOccupiedError when the path holds something that is not a text, and OutputError when the text cannot be read.
    """
    name = shown(path)
    if is_object(path):
        return _checked_text(read_text_object(path, LARGEST_TEXT), name)
    try:
        kind = _kind(path.lstat().st_mode)
        if kind is not None:
            raise _occupied(name, kind)
        with open(path, "rb", opener=_open_file) as file:
            content = file.read(LARGEST_TEXT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise write_error(f"{name} could not be read", error) from error
    return _checked_text(content, name)


def _checked_text(content: bytes | None, name: str) -> bytes | None:
    """Return the content. Raises OutputOccupiedError if it is not a text's."""
    if content is None:
        return None
    if content.startswith(_PICTURES):
        raise _occupied(name, "a picture")
    if len(content) > LARGEST_TEXT or (b"\0" in content and not content.startswith(_UTF16)):
        raise _occupied(name, "not a text file")
    return content


def write_output(
    path: Path, content: bytes, *, replaces: bytes | None, writer: str, check: Callable[[], None] = lambda: None
) -> bool:
    """Write the file, and return whether it was written: another file that is there by now stays.

    Args:
        path: of the text file.
        content: its new content.
        replaces: the content that the file has now; None: the file does not exist.
        writer: the worker's name.
        check: called just before the file takes its name; what it raises leaves the file as it is.

    Raises OutputError.
    """
    if is_object(path):
        check()
        return write_text_object(path, content, replaces=replaces) or (
            replaces is None and read_output(path) == content
        )
    temporary = path.with_name(temporary_name(writer))
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        point(FaultPoint.PUBLISH)
        check()
        if replaces is None:
            if not give_name(temporary, path):
                return read_output(path) == content
        else:
            # Some file systems (SMB, exFAT) refuse to change a mode.
            with suppress(OSError):
                temporary.chmod(path.lstat().st_mode & 0o777)
            if read_output(path) != replaces:
                return False
            temporary.replace(path)
        # A row that says the file is written must not outlive the file's name in a power failure.
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(f"{shown(path)} could not be written", error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


def remove_output(path: Path) -> None:
    """Remove the file, if it is there. Raises OutputError."""
    if is_object(path):
        remove_text_object(path)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(f"{shown(path)} could not be removed", error) from error


def shown(path: Path) -> str:
    """Return the file's name for people, with ? for bytes that are not text."""
    return path.name.encode(errors="replace").decode()


def _kind(mode: int) -> str | None:
    """Name the kind of anything but a regular file."""
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a link" if stat.S_ISLNK(mode) else "a special file"


def _occupied(name: str, kind: str) -> OutputOccupiedError:
    return OutputOccupiedError(f"{name} is {kind}, so no text can be written there. Move it away, then try again.")


def _open_file(path: str, flags: int) -> int:
    # Since the file's state was read, a link or a named pipe may have taken its place: neither is followed or waited for.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
