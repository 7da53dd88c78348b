"""The early start of a run's worker: beside the command's own imports and its search for images, which take as long."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cli.runs.processes.worker_restarts import WorkerProcess
from jobs.captions.output_names import plain_name
from jobs.configuration.settings import Settings
from jobs.images.walking.folder_walk import has_image_extension
from jobs.options.caption_options import CaptionOptions
from jobs.store.databases.schema_version import is_older
from worker.lock import is_running

#: Names that the look reads at most.
_MOST_NAMES = 20_000


def start_early(settings: Settings, paths: Sequence[Path], options: CaptionOptions) -> WorkerProcess | None:
    """Start the worker if none runs and a quick look finds an image without a text; else return None.

    The worker waits for the broker, which the run starts once it has found its images. Raises DataFolderError.
    """
    # A configured broker runs already, and the worker would begin before the run has cancelled the jobs that dead runs left.
    if settings.redis_url or is_running(settings) or not _has_work(paths, options):
        return None
    # The run itself changes the tables of an older version, and tells about the copy.
    if is_older(settings.data_dir / "captionq.db"):
        return None
    worker = WorkerProcess(settings, [])
    worker.start()
    return worker


def _has_work(paths: Sequence[Path], options: CaptionOptions) -> bool:
    left = _MOST_NAMES
    for names in _listings(paths, recursive=options.recursive):
        left -= len(names)
        if left < 0:
            return False
        for name in names:
            # The text may have another name. The search decides later; a wrong guess costs time only.
            has_text = plain_name(name) in names
            if has_image_extension(name) and (options.existing != "skip" or not has_text):
                return True
    return False


def _listings(paths: Sequence[Path], *, recursive: bool) -> Iterator[set[str]]:
    """Yield the names in each folder, and each named file with the name of its text if that exists."""
    folders = [str(path) for path in paths if path.is_dir()]
    for path in paths:
        if path.is_file():
            yield {one.name for one in (path, path.with_suffix(".txt")) if one.exists()}
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                found = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError:
            # The search reports folders that cannot be read.
            continue
        yield {entry.name for entry in found}
        if recursive:
            folders += [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]
