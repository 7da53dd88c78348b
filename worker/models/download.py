"""The download of a model into the Hugging Face cache: its size, the room for it, and its progress."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from jobs.errors import ModelUnavailableError
from jobs.models.adapters import check_adapter, split_name
from jobs.models.hub import cache_dir, hub_errors, reach_hub
from jobs.models.model_card import CARD
from jobs.models.model_info import TWINS, missing_parts
from worker.models.part_files import PartFile, find_part

#: The files of a repository that mlx-vlm and mlx-lm read, except for Python code, which captionq does not run; and its card,
#: which names the licence.
FILES = ["*.json", "*.jsonl", "*.safetensors", "*.model", "*.tiktoken", "*.txt", "*.jinja", CARD]
#: Seconds between two calls of a progress callback, unless the caller says otherwise.
PROGRESS_SECONDS = 1.0
#: The names of the hub client's bars of the bytes that are present: of all files that it downloads together, and of one file that
#: has a part. Another bar counts the bytes that came over the network, which are fewer if the client's store has a part already.
_BARS = ("huggingface_hub.snapshot_download", "huggingface_hub.http_get")

#: A progress callback, called as `on_progress(done, total)` from any thread, one call at a time: the bytes that are present, and
#: those of all files.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class DownloadSize:
    """The size of a model's files on the hub, in bytes."""

    total: int
    #: The bytes that are not in the cache yet.
    missing: int


@dataclass(frozen=True)
class _File:
    """A file of a repository; `present`: its bytes in the cache, without those of its part."""

    size: int
    present: int
    part: PartFile | None


def download_size(name: str) -> DownloadSize:
    """Ask the hub for the size of a model's files. Raises ModelNotFoundError, ModelUnavailableError."""
    files = [file for repository in missing_parts(name) for file in _listed(repository)]
    total, parts = sum(file.size for file in files), [file.part for file in files if file.part is not None]
    return DownloadSize(total, total - sum(file.present for file in files) - sum(part.present for part in parts))


def check_room(name: str, size: DownloadSize, *, names_folder: bool) -> None:
    """Check that the disk of the cache holds the rest of the model. Raises ModelUnavailableError.

    `names_folder`: the message names the cache's folder, which clients of the API are not told.
    """
    folder = cache_dir()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < size.missing:
        raise ModelUnavailableError(
            f"'{name}' needs {decimal(size.missing)}, and only {decimal(free)} are free on the disk of "
            f"{folder if names_folder else 'the model cache'}. Make room there, or set HF_HUB_CACHE to another folder."
        )


def fetch(
    name: str, on_progress: OnProgress | None = None, *, every: float = PROGRESS_SECONDS, shown: bool = True
) -> None:
    """Download a model and its adapter from Hugging Face, or the rest of them.

    Args:
        name: the model's name, of which each part that is not here is a Hugging Face id.
        on_progress: called when more bytes have come, and at the end.
        every: seconds between two of these calls.
        shown: show the client's own bars in a terminal; without `on_progress` they always are.

    Raises:
        ModelNotFoundError: The hub has no such model, or refuses access to it.
        ModelUnavailableError: The network, the hub or the disk failed.
        AdapterError: The adapter's repository holds none.
    """
    files = {repository: _listed(repository) for repository in missing_parts(name)}
    listed_files = [file for listed in files.values() for file in listed]
    counter = None if on_progress is None else _Counter(listed_files, on_progress, every)
    bars = None if counter is None else _reporting_bar(counter.add, shown=shown)
    for repository, listed in files.items():
        with hub_errors(repository):
            from huggingface_hub import snapshot_download

            for file in listed:
                if file.part is not None:
                    file.part.fetch(bars)
            folder = snapshot_download(repository, allow_patterns=FILES, ignore_patterns=[TWINS], tqdm_class=bars)
        if repository == split_name(name)[1]:
            check_adapter(Path(folder), repository)
    if counter is not None:
        counter.end()


def _listed(repository: str) -> list[_File]:
    """Ask the hub for the files of a repository. Raises ModelNotFoundError, ModelUnavailableError."""
    with hub_errors(repository):
        from huggingface_hub import snapshot_download

        reach_hub()
        found = snapshot_download(
            repository, allow_patterns=FILES, ignore_patterns=[TWINS], dry_run=True, tqdm_class=_silent_bar()
        )
        sizes = [(file.file_size or 0, file) for file in found]
        return [_File(size, 0 if file.will_download else size, find_part(repository, file)) for size, file in sizes]


class _Counter:
    """Counts the bytes that are present, and calls back now and then. Thread-safe."""

    def __init__(self, files: list[_File], on_progress: OnProgress, every: float) -> None:
        self._done = sum(file.present for file in files)
        self._total = sum(file.size for file in files)
        self._on_progress = on_progress
        self._every = every
        self._reported_at = float("-inf")
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._done += size
            if time.monotonic() - self._reported_at >= self._every:
                self._reported_at = time.monotonic()
                self._on_progress(min(self._done, self._total), self._total)

    def end(self) -> None:
        self._on_progress(self._total, self._total)


def _silent_bar() -> Any:
    """Return a class of the client's progress bar that shows nothing."""
    return _reporting_bar(lambda size: None, shown=False)


def _reporting_bar(add: Callable[[int], None], *, shown: bool) -> Any:
    """Return a class of the client's progress bar that also calls `add` with each number of bytes."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # documented, but not exported by its types

    class ReportingBar(tqdm):
        def __init__(self, *args: Any, name: str | None = None, **options: Any) -> None:
            if not shown:
                options["disable"] = True
            super().__init__(*args, name=name, **options)  # type: ignore[no-untyped-call]
            self._counts = name in _BARS
            if self._counts:
                # The bytes of a part. tqdm does not count them in a bar that is not shown.
                add(int(options.get("initial") or 0))

        def update(self, n: float | None = 1) -> Any:
            if self._counts:
                add(int(n or 0))
            return super().update(n)

    return ReportingBar
