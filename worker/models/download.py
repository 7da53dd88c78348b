"""The download of a model into the Hugging Face cache: its size, and its progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.models.adapters import check_adapter, split_name
from jobs.models.hub import hub_errors, reach_hub
from jobs.models.model_card import CARD
from jobs.models.model_info import TWINS, missing_parts

#: The files of a repository that mlx-vlm and mlx-lm read, except for Python code, which captionq does not run; and its card,
#: which names the licence.
FILES = ["*.json", "*.jsonl", "*.safetensors", "*.model", "*.tiktoken", "*.txt", "*.jinja", CARD]
#: Seconds between two calls of a progress callback.
PROGRESS_SECONDS = 1.0
#: The name of the hub client's bar of the bytes that are present, of all files together. Another bar counts the bytes that came
#: over the network, which are fewer if the client's store has a part already.
_BAR = "huggingface_hub.snapshot_download"

#: A progress callback, called as `on_progress(done, total)` from any thread: the bytes that are present, and the bytes of all
#: files, which grow as the client learns of more files.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class DownloadSize:
    """The size of a model's files on the hub, in bytes."""

    total: int
    #: The bytes that are not in the cache yet.
    missing: int


def download_size(name: str) -> DownloadSize:
    """Ask the hub for the size of a model's files. Raises ModelNotFoundError, ModelUnavailableError."""
    files: list[Any] = []
    for repository in missing_parts(name):
        with hub_errors(repository):
            from huggingface_hub import snapshot_download

            reach_hub()
            files += snapshot_download(
                repository, allow_patterns=FILES, ignore_patterns=[TWINS], dry_run=True, tqdm_class=_silent_bar()
            )
    sizes = [(file.file_size or 0, file.will_download) for file in files]
    return DownloadSize(sum(size for size, _ in sizes), sum(size for size, missing in sizes if missing))


def fetch(name: str, on_progress: OnProgress | None = None, *, shown: bool = True) -> None:
    """Download a model and its adapter from Hugging Face, or the rest of them.

    Args:
        name: the model's name, of which each part that is not here is a Hugging Face id.
        on_progress: called about once a second.
        shown: show the client's own bars in a terminal; without `on_progress` they always are.

    Raises:
        ModelNotFoundError: The hub has no such model, or refuses access to it.
        ModelUnavailableError: The network, the hub or the disk failed.
        AdapterError: The adapter's repository holds none.
    """
    bars = None if on_progress is None else _reporting_bar(on_progress, shown=shown)
    for repository in missing_parts(name):
        with hub_errors(repository):
            from huggingface_hub import snapshot_download

            reach_hub()
            folder = snapshot_download(repository, allow_patterns=FILES, ignore_patterns=[TWINS], tqdm_class=bars)
        if repository == split_name(name)[1]:
            check_adapter(Path(folder), repository)


def _silent_bar() -> Any:
    """Return a class of the client's progress bar that shows nothing."""
    return _reporting_bar(lambda done, total: None, shown=False)


def _reporting_bar(on_progress: OnProgress, *, shown: bool) -> Any:
    """Return a class of the client's progress bar that also calls `on_progress`."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # documented, but not exported by its types

    class ReportingBar(tqdm):
        def __init__(self, *args: Any, name: str | None = None, **options: Any) -> None:
            if not shown:
                options["disable"] = True
            super().__init__(*args, name=name, **options)  # type: ignore[no-untyped-call]
            self._counts = name == _BAR
            #: The bytes that are present. tqdm does not count them in a bar that is not shown.
            self._done = 0
            self._reported_at = 0.0
            self._lock_of_count = threading.Lock()

        def update(self, n: float | None = 1) -> Any:
            with self._lock_of_count:
                self._done += int(n or 0)
                total = int(self.total or 0)
                if self._counts and (self._done == total or time.monotonic() - self._reported_at > PROGRESS_SECONDS):
                    self._reported_at = time.monotonic()
                    on_progress(self._done, total)
            return super().update(n)

    return ReportingBar
