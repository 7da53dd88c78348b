"""The folders that a client of the tools may see: every path of a client goes through here."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from jobs.errors import ImageForbiddenError, ImageNotFoundError, InvalidRequestError
from jobs.images.allowed_roots import is_below
from jobs.images.walking.folder_walk import find_images
from jobs.mounts import mounts
from jobs.requests import address_of, path_of

#: Most pictures of one call.
MOST_IMAGES = 20_000


class ServedFiles:
    """The served folders."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = [Path(os.path.realpath(root)) for root in roots]

    @property
    def stored(self) -> str:
        """The folders as a job stores them: the worker checks them again when it opens a file."""
        return json.dumps([str(root) for root in mounts().named_roots(self.roots)])

    def find(self, path: str) -> Path:
        """Return a path with all links resolved. Raises ImageForbiddenError, ImageNotFoundError, InvalidRequestError."""
        try:
            named = mounts().here(Path(path).expanduser())
            if not named.is_absolute():
                raise InvalidRequestError(
                    f"{path} is not absolute. Give the whole path, such as /Users/me/Pictures/a.jpg."
                )
            real = named.resolve()
            allowed = is_below(real, self.roots)
        except (OSError, RuntimeError, ValueError):
            allowed = False
        if not allowed:
            # The same words for what exists and what does not: a client learns nothing about other folders.
            raise ImageForbiddenError(
                f"{path} is not below a served folder. Serve one with: captionq mcp --allow-root DIR"
            )
        if not real.exists():
            raise ImageNotFoundError(f"{path} does not exist.")
        return real

    def images(self, paths: Sequence[str], *, recursive: bool) -> list[Path]:
        """Return the images among and below these paths. Raises the errors of `find`, and InvalidRequestError for too many."""
        found: list[Path] = []
        for image in find_images([self.find(path) for path in paths], recursive=recursive, roots=self.roots):
            if len(found) == MOST_IMAGES:
                raise InvalidRequestError(f"There are more than {MOST_IMAGES} pictures. Name smaller folders.")
            found.append(image)
        return found

    def address(self, path: str) -> str:
        """Return the address of an image. Raises the errors of `find`, and InvalidRequestError for a folder."""
        real = self.find(path)
        if real.is_dir():
            raise InvalidRequestError(f"{path} is a folder. Name its pictures, or use the tool caption.")
        return address_of(real)

    def visible_path(self, source: str | None) -> str | None:
        """Return the path of an image by its address; None: the client may not see it."""
        path = None if source is None or not source.startswith("file:") else path_of(source)
        return str(path) if path is not None and is_below(mounts().here(path), self.roots) else None
