"""Reading and writing text files beside images: a reader finds the old text or the whole new one, and no other file is harmed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from jobs.captions.temporary_files import temporary_name
from jobs.errors import ForbiddenError, OutputError, OutputOccupiedError
from jobs.images.folder_walk import is_below

#: Bytes of a text; a larger file is something else.
LARGEST_TEXT = 4_000_000
#: How files begin that are pictures. Most hold NUL bytes as well, as other binary files do.
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"RIFF")
#: How texts in UTF-16 begin, which hold NUL bytes.
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def text_bytes(text: str) -> bytes:
    """A file's content for an answer, with one line end. As in the database, a NUL character becomes a replacement character."""
    return (text.replace("\0", "\N{REPLACEMENT CHARACTER}").rstrip("\n") + "\n").encode()


def fingerprint(content: bytes | None) -> str | None:
    """SHA-256 in hex digits of a file's content; None: there is no file."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def is_own(content: bytes, texts: Collection[str]) -> bool:
    """Whether the content of a file is one of these answers, as captionq writes them."""
    return any(content == text_bytes(text) for text in texts)


def check_place(path: Path, roots: Sequence[Path] | None) -> None:
    """Its folder has to lie below one of the `roots`, if there are any. Raises ForbiddenError."""
    if roots is not None and not is_below(path.parent, roots):
        raise ForbiddenError("The text's file would lie outside the folders that are served.")


def read_output(path: Path) -> bytes | None:
    """The content of the text file that is there; None: there is none.

    Raises OutputOccupiedError when something is there that is not a text, and OutputError when the text cannot be read.
    """
    name = shown(path)
    try:
        kind = _kind(path.lstat().st_mode)
        if kind is not None:
            raise _occupied(name, kind)
        with open(path, "rb", opener=_open_file) as file:
            content = file.read(LARGEST_TEXT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OutputError(f"{name} could not be read: {error.strerror or type(error).__name__}.") from error
    if content.startswith(_PICTURES):
        raise _occupied(name, "a picture")
    if len(content) > LARGEST_TEXT or (b"\0" in content and not content.startswith(_UTF16)):
        raise _occupied(name, "not a text file")
    return content


def write_output(path: Path, content: bytes, *, replaces: bytes | None, writer: str) -> bool:
    """Write the file in place of the content that it has now; `replaces` None: it does not exist.

    False: something else is there by now, and stays. `writer` is the worker's name. Raises OutputError.
    """
    temporary = path.with_name(temporary_name(writer))
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replaces is None:
            return _publish(temporary, path) or read_output(path) == content
        # Some file systems (SMB, exFAT) refuse to change a mode.
        with suppress(OSError):
            temporary.chmod(path.lstat().st_mode & 0o777)
        if read_output(path) != replaces:
            return False
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{shown(path)} could not be written: {error.strerror or type(error).__name__}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


def shown(path: Path) -> str:
    """The file's name for people, with ? for what is no text."""
    return path.name.encode(errors="replace").decode()


def _publish(temporary: Path, path: Path) -> bool:
    """Give a new file its name. False: the name is taken."""
    try:
        # Unlike a rename, a link never replaces a file that came into being a moment ago.
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:
        # No hard links here (SMB, exFAT); whatever else is wrong, the rename will say.
        if os.path.lexists(path):
            return False
        temporary.replace(path)
    return True


def _kind(mode: int) -> str | None:
    """What is there besides a regular file."""
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a link" if stat.S_ISLNK(mode) else "a special file"


def _occupied(name: str, kind: str) -> OutputOccupiedError:
    return OutputOccupiedError(f"{name} is {kind}, so no text can be written there. Move it away, then try again.")


def _open_file(path: str, flags: int) -> int:
    # Since its state was read, a link or a named pipe may have been put in its place: neither is followed or waited for.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
