"""Fetching a model into the Hugging Face cache, with somebody told how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.models.hub import hub_errors

#: What mlx-vlm and mlx-lm read of a repository, but for programs, which are not run here.
FILES = ["*.json", "*.jsonl", "*.safetensors", "*.model", "*.tiktoken", "*.txt", "*.jinja"]
#: Seconds between two tellings.
TELL_EVERY = 1.0
#: What the hub's client calls its bar of the bytes that are there, of all files together. There is one more of those that came
#: over the net, which are fewer where its store knows a part already.
_BAR = "huggingface_hub.snapshot_download"

#: Is told the bytes that are here, and those that there are to be: more as the client comes to know the files. From any thread.
OnProgress = Callable[[int, int], None]


def fetch(name: str, tell: OnProgress | None = None) -> Path:
    """Bring a Hugging Face model here, with a progress bar where there is a terminal.

    Raises ModelNotFoundError, ModelUnavailableError.
    """
    with hub_errors(name):
        from huggingface_hub import snapshot_download

        bars = None if tell is None else _telling(tell)
        return Path(snapshot_download(name, allow_patterns=FILES, tqdm_class=bars))


def _telling(tell: OnProgress) -> Any:
    """The client's progress bar, which tells somebody besides."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # documented, but not exported by its types

    class TellingBar(tqdm):
        def __init__(self, *args: Any, name: str | None = None, **options: Any) -> None:
            super().__init__(*args, name=name, **options)  # type: ignore[no-untyped-call]
            self._counts = name == _BAR
            #: A bar that is not shown does not count.
            self._here = 0
            self._told = 0.0
            self._lock_of_count = threading.Lock()

        def update(self, n: float | None = 1) -> Any:
            with self._lock_of_count:
                self._here += int(n or 0)
                total = int(self.total or 0)
                if self._counts and (self._here == total or time.monotonic() - self._told > TELL_EVERY):
                    self._told = time.monotonic()
                    tell(self._here, total)
            return super().update(n)

    return TellingBar
