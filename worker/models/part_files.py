"""Large files of a model, which go on where an interrupted download stopped.

The hub's client begins a file again in each process, and removes its part when the network fails: a model whose weights are one
file would start at its first byte each time. Its function for one file writes into a part that stays; the client finds the whole
file in its cache then.
"""

from __future__ import annotations

import errno
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.errors import ModelUnavailableError
from jobs.models.hub import cache_dir
from jobs.safe_text import safe_text

#: Bytes from which on a file has a part: the client writes pieces of 10 MiB, and what is less is fetched in a moment.
HAS_PART_FROM = 10_485_760
#: The names by which the hub knows contents: a SHA-256, or git's SHA-1. Anything else would be a path of the hub's choice.
_ETAG = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA256_LENGTH = 64


@dataclass(frozen=True)
class PartFile:
    """A file of which a part may be in the cache."""

    repository: str
    filename: str
    url: str
    etag: str
    size: int

    @property
    def present(self) -> int:
        """Bytes of the part."""
        try:
            return min(self._path.stat().st_size, self.size)
        except FileNotFoundError:
            return 0

    def fetch(self, bars: Any) -> None:
        """Download the rest, and put the file into the hub's cache. `bars`: a class of the client's progress bar; None: its own.

        Raises httpx2.HTTPError or OSError, and keeps the part; ModelUnavailableError if the file is not what the hub announced.
        """
        from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # not exported by its types

        lock = cache_dir() / ".locks" / self._folder.name / f"{self.etag}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # The client's own lock for this file: one process at a time fetches it.
        with WeakFileLock(lock):
            if not self._blob.exists():
                self._complete(bars)
                self._path.replace(self._blob)

    def _complete(self, bars: Any) -> None:
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented, likewise

        with self._path.open("ab") as part:
            if part.tell() > self.size:
                part.truncate(0)
                part.seek(0)
            try:
                http_get(
                    self.url,
                    part,
                    resume_size=part.tell(),
                    # A packed answer has no ranges.
                    headers={**build_hf_headers(), "Accept-Encoding": "identity"},
                    expected_size=self.size,
                    displayed_filename=self.filename,
                    tqdm_class=bars,
                )
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    # Other programs need the disk too.
                    self._path.unlink()
                raise
        if not self._is_intact():
            self._path.unlink()
            raise ModelUnavailableError(
                f"'{self.repository}' could not be downloaded: {safe_text(self.filename)} arrived damaged. Try again."
            )

    def _is_intact(self) -> bool:
        if len(self.etag) != _SHA256_LENGTH:
            return self._path.stat().st_size == self.size
        with self._path.open("rb") as whole:
            return hashlib.file_digest(whole, "sha256").hexdigest() == self.etag

    @property
    def _folder(self) -> Path:
        return cache_dir() / f"models--{self.repository.replace('/', '--')}"

    @property
    def _blob(self) -> Path:
        return self._folder / "blobs" / self.etag

    @property
    def _path(self) -> Path:
        return self._blob.with_name(f"{self.etag}.captionq.incomplete")


def find_part(repository: str, file: Any) -> PartFile | None:
    """Return the part of a file that the client would download (its `DryRunFileInfo`); None: the client downloads it by itself.

    Raises httpx2.HTTPError or OSError.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    size = file.file_size or 0
    if not file.will_download or not HAS_PART_FROM <= size <= constants.MAX_HTTP_DOWNLOAD_SIZE:
        return None
    url = hf_hub_url(repository, file.filename, revision=file.commit_hash)
    etag = get_hf_file_metadata(url).etag or ""
    return PartFile(repository, file.filename, url, etag, size) if _ETAG.fullmatch(etag) else None
