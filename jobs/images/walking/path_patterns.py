"""Patterns of `--include` and `--exclude`: files and folders, written as in a `.gitignore`."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.errors import InvalidRequestError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

#: Maximum asterisks between two slashes of a pattern: with more, comparing a long name takes minutes.
MAX_STARS = 3
_STARS = re.compile(r"\*+")


class PathPatterns:
    """Patterns that are compared with paths below a folder, whatever the case and the form of the accents.

    `*_edit.jpg` and `thumbs/` match at any depth, `/old` only directly in the folder, and `!keep.jpg` takes a match back. As in
    git, nothing in a matching folder comes back.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Compile the patterns. Raises InvalidRequestError, which names the pattern."""
        self._spec = _joined(patterns) if patterns else None

    def __bool__(self) -> bool:
        """Return whether there are patterns."""
        return self._spec is not None

    def match(self, path: Path, base: Path, *, is_folder: bool = False) -> bool:
        """Check whether a path below the folder `base`, or a folder above it, matches."""
        if self._spec is None:
            return False
        relative = _folded(path.relative_to(base).as_posix())
        return self._spec.match_file(f"{relative}/" if is_folder else relative)


def _joined(patterns: Sequence[str]) -> GitIgnoreSpec:
    # Imported here: few runs have patterns.
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec([one for pattern in patterns for one in _compiled(pattern).patterns])


def _compiled(pattern: str) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    folded = _folded(pattern)
    if max(len(_STARS.findall(part)) for part in folded.split("/")) > MAX_STARS or folded.count("**") > MAX_STARS:
        raise InvalidRequestError(f"The pattern '{pattern}' has more than {MAX_STARS} asterisks in a part.")
    try:
        with warnings.catch_warnings():
            # The library's expression for odd sets, such as [[], makes `re` warn; it is right nevertheless.
            warnings.simplefilter("ignore", FutureWarning)
            return GitIgnoreSpec.from_lines([folded])
    except (ValueError, re.error) as error:
        raise InvalidRequestError(f"The pattern '{pattern}' is not valid. Write it as in a .gitignore.") from error


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
