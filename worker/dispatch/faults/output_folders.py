"""Folders that take no text: their jobs fail before anything is generated for them."""

from __future__ import annotations

import time
from pathlib import Path

from jobs.captions.writable_folders import WritableFolders
from jobs.errors import OutputForbiddenError
from jobs.requests import path_of
from jobs.store.tables import Job

#: Seconds for which the answer about a folder is remembered.
REMEMBERED = 5.0
#: Folders that are remembered at most.
_MOST_FOLDERS = 1000


class OutputFolders:
    """The folders of one worker's jobs, each asked about every few seconds."""

    def __init__(self) -> None:
        #: The reason why a folder takes no text, and when the system said so, by folder.
        self._asked: dict[Path, tuple[OutputForbiddenError | None, float]] = {}

    def refusal(self, job: Job) -> OutputForbiddenError | None:
        """Return the reason why the job's text cannot be written; None: it can, or only the attempt will tell."""
        if job.output is None:
            return None
        folder, now = path_of(job.output).parent, time.monotonic()
        refusal, asked_at = self._asked.get(folder, (None, float("-inf")))
        if now - asked_at > REMEMBERED:
            if len(self._asked) >= _MOST_FOLDERS:
                self._asked.clear()
            # A folder that is not there is made, or is on a disk that is not mounted: writing tells.
            refusal = WritableFolders(look_only=True).refusal(folder) if folder.is_dir() else None
            self._asked[folder] = refusal, now
        return refusal
