"""A caption run over a Photos library whose captions go back into the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cli.exit_status import INTERRUPTED, SOME_FAILED
from cli.runs.caption_run import CaptionRun
from cli.runs.images.library_images import LibraryImages
from cli.runs.photos.write_back import WriteBack
from jobs.captions.photos_library.photos_app import PhotosApp
from jobs.configuration.settings import Settings
from jobs.creation.question import Question
from jobs.options.caption_options import CaptionOptions
from jobs.store.store import Store


class PhotosRun(CaptionRun):
    """A run that writes into Photos when it has captioned its images, if a person accepted its sample."""

    def __init__(
        self,
        settings: Settings,
        question: Question,
        options: CaptionOptions,
        *,
        images: LibraryImages,
        open_app: Callable[[], PhotosApp],
        **others: Any,
    ) -> None:
        """Prepare a run.

        Args:
            images: of the library.
            open_app: starts Photos. Called before the first image: macOS asks its user then, not hours later.
            others: of `CaptionRun`; among them is a sample.
        """
        super().__init__(settings, question, options, images=images, **others)
        self._library = images
        self._open_app = open_app

    def caption(self, paths: Sequence[Path], *, description: str) -> int:
        """Caption the photos, then write back. Returns the exit status. Raises CaptionqError if the run cannot go on."""
        app = self._open_app()
        status = super().caption(paths, description=description)
        if status == INTERRUPTED or self._sample.acceptance.given is False or not self._library.places.outputs:
            return status
        store = Store(self._settings)
        try:
            return status if self._write_back(app, store) else SOME_FAILED
        except KeyboardInterrupt:
            self._report.note("Stopped. To go on, run the same command again.")
            return INTERRUPTED
        finally:
            store.close()

    def _write_back(self, app: PhotosApp, store: Store) -> bool:
        texts = ((self._library.photo_of(image), text) for image, text in self._library.places.outputs.items())
        return WriteBack(app, self._options, self._sample, self._report).run(texts, store)
