"""The run that `captionq caption` asks for: made from the command's options, carried out up to the notification at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cli.exit_status import INTERRUPTED
from cli.named_paths import named_model
from cli.options import read_response_format
from cli.output.run_notice import RunNotice
from cli.photos_options import PhotosOptions
from cli.runs.caption_run import CaptionRun
from cli.runs.dry_run import DryRun
from jobs.captions.outputs.exiftool import find_exiftool
from jobs.configuration.settings import Settings
from jobs.creation.question import Question
from jobs.errors import CaptionqError
from jobs.options.caption_options import CaptionOptions


def make_question(settings: Settings, options: CaptionOptions, model: str | None, json_schema: Path | None) -> Question:
    """Make the question about each image. Raises MissingToolError if captions are to be embedded, and cannot."""
    if options.embed:
        find_exiftool()
    name = named_model(model or settings.model, options.adapter)
    return Question.of(options, name, read_response_format(json_schema))


@dataclass(frozen=True)
class RequestedRun:
    """A run over paths or over a Photos library."""

    run: CaptionRun
    #: The paths or the library, for people.
    description: str

    @classmethod
    def of(
        cls,
        settings: Settings,
        question: Question,
        options: CaptionOptions,
        photos: PhotosOptions | None,
        *,
        description: str,
        dry_run: bool,
        **others: Any,
    ) -> Self:
        """Make the run. `description`: of the paths; `others`: of `CaptionRun`. Raises CaptionqError."""
        if photos is None:
            return cls((DryRun if dry_run else CaptionRun)(settings, question, options, **others), description)
        # Imported here: few runs are over a library.
        from cli.runs.photos.library_run import library_of, make_library_run

        library = library_of(photos)
        run = make_library_run(library, photos, settings, question, options, dry_run=dry_run, **others)
        return cls(run, str(library))

    def carry_out(self, paths: Sequence[Path], notice: RunNotice, *, watch: bool) -> int:
        """Caption the images, and show the notice at the end. Returns the exit status. Raises CaptionqError."""
        try:
            status = (self.run.watch if watch else self.run.caption)(paths, description=self.description)
        except CaptionqError as error:
            notice.send(error.message)
            raise
        if status != INTERRUPTED and not watch:
            notice.send(f"{self.description}: {self.run.headline}")
        return status
