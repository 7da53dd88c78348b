"""A dry run: the plan of `captionq caption`, with numbers of images. Nothing is written, queued or started."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from cli.exit_status import ALL_CAPTIONED, SOME_FAILED
from cli.output.dry_run_report import print_plan
from cli.runs.caption_run import CaptionRun
from jobs.configuration.settings import Settings
from jobs.creation.existing_texts import PendingImage, SkippedImage
from jobs.creation.question import job_about
from jobs.creation.run_locks import RunLocks
from jobs.models.model_info import check_sees, describe
from jobs.requests import address_of
from jobs.store.store import Store
from jobs.store.tables import Batch
from jobs.store.written.output_writers import TakenUp, sort_out
from worker.models.download import download_size


class DryRun(CaptionRun):
    """A run that ends before its first job is queued."""

    LOOK_ONLY: ClassVar[bool] = True

    def caption(self, paths: Sequence[Path], *, description: str) -> int:
        """Print the plan for the images of the paths. Returns 1 if no image could be captioned or skipped."""
        model = describe(self._question.model)
        check_sees(model)
        missing = download_size(model.name).missing if model.path is None else 0
        with _store_to_read(self._settings) as settings:
            store = Store(settings)
            try:
                found = list(self._find(paths, store))
                wanted = [one for one in found if isinstance(one, PendingImage)]
                skipped = [one for one in found if isinstance(one, SkippedImage)]
                taken = self._taken(wanted, store, RunLocks(settings))
            finally:
                store.close()
        if not wanted and not skipped:
            self._report.found_nothing(description)
            return SOME_FAILED
        print_plan(wanted, skipped, taken, model=model.name, missing=missing, report=self._report)
        usable = skipped or taken.queued or taken.resumed or taken.followed
        return ALL_CAPTIONED if usable else SOME_FAILED

    def _taken(self, wanted: Sequence[PendingImage], store: Store, runs: RunLocks) -> TakenUp:
        """Decide about the images as `FolderRun.add` would, without writing the decision."""
        batch = Batch(description="", model=self._question.model)
        jobs = [job_about(one, self._question, batch, settings=self._settings) for one in wanted]
        writers = store.writers([address_of(one.output) for one in wanted])
        return sort_out(jobs, writers, runs.dead(store.open_batches()))


@contextmanager
def _store_to_read(settings: Settings) -> Iterator[Settings]:
    """Provide settings with a store to read: an empty one in a temporary folder if the data folder has none yet."""
    if settings.database_url is not None or (settings.data_dir / "captionq.db").exists():
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="captionq-") as folder:
        yield settings.model_copy(update={"data_dir": Path(folder)})
