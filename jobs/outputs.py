"""Writing the text file beside an image, so that a reader finds either the old text or the whole new one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from jobs.errors import ForbiddenError, OutputError
from jobs.folders import is_below


def write_sidecar(path: Path, text: str, roots: Sequence[Path] | None = None) -> None:
    """Replace or create the file with the text and a line end. A link in its place is replaced, not followed.

    Its folder has to lie below one of the `roots`, if there are any. Raises OutputError, ForbiddenError.
    """
    # Looked at again: since the folder was walked, a link may have been put in its place.
    if roots is not None and not is_below(path.parent, roots):
        raise ForbiddenError("The text's file would lie outside the folders that are served.")
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text.rstrip("\n") + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            temporary.chmod(path.stat(follow_symlinks=False).st_mode & 0o777 if not path.is_symlink() else 0o644)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        name = path.name.encode(errors="replace").decode()
        raise OutputError(f"{name} could not be written: {error.strerror or type(error).__name__}.") from error
