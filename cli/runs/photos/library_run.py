"""The run of `captionq caption --photos-library`, made from its options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cli.model_options import with_values
from cli.photos_options import PhotosOptions
from cli.runs.caption_run import CaptionRun
from cli.runs.dry_run import DryRun
from cli.runs.images.library_images import LibraryImages
from cli.runs.photos.photos_run import PhotosRun
from cli.runs.sample import SampleOptions
from jobs.captions.photos_library.library_texts import default_folder
from jobs.captions.photos_library.photos_app import ScriptedPhotosApp, check_photos_app
from jobs.configuration.settings import Settings
from jobs.creation.question import Question
from jobs.images.photos_library.osxphotos_source import OsxphotosSource, check_osxphotos, find_library
from jobs.images.photos_library.photo import PhotoSource
from jobs.options.caption_options import CaptionOptions
from jobs.options.delivery import DeliveryOptions
from jobs.options.outputs import KEYWORD_PRESETS

#: Images of the sample before anything is written into Photos, unless the user says how many.
SAMPLE_SIZE = 5


def check_options(photos: PhotosOptions, options: CaptionOptions, *, dry_run: bool, watch: bool) -> None:
    """Raise click.UsageError for options that a library cannot follow."""
    if options.embed:
        raise click.UsageError("Nothing is written into a Photos library, so --embed goes without --photos-library.")
    if watch:
        raise click.UsageError("--watch watches folders. Run the command again: photos with texts are skipped.")
    if photos.write_back and dry_run:
        raise click.UsageError("--dry-run writes nothing, so it goes without --write-back.")
    if photos.write_back and (options.joins or not options.writes_text):
        raise click.UsageError(
            "--write-back writes what is in the text files: it needs txt among the outputs, and no append."
        )


def library_of(photos: PhotosOptions) -> Path:
    """Return the library.

    Raises MissingToolError without osxphotos, or without Photos to write back; InvalidRequestError if there is no library;
    OutputForbiddenError if Photos has another library open.
    """
    check_osxphotos()
    library = photos.library or find_library()
    if photos.write_back:
        check_photos_app(library)
    return library


def make_library_run(
    library: Path,
    photos: PhotosOptions,
    settings: Settings,
    question: Question,
    options: CaptionOptions,
    *,
    sample: SampleOptions,
    dry_run: bool,
    **others: Any,
) -> CaptionRun:
    """Make the run. `others`: of `CaptionRun`. Raises InvalidRequestError, OutputForbiddenError."""
    if options.preset in KEYWORD_PRESETS:
        # The jobs remember that their answers are keywords, should these be written back later.
        options = with_values(options, keywords=True)
    texts = photos.texts or default_folder(library)

    def open_source() -> PhotoSource:
        click.echo(f"Reading {library} … The texts of its photos go to {texts}.", err=True)
        return OsxphotosSource(library)

    images = LibraryImages(open_source, options, albums=photos.albums, texts=texts)
    question = replace(question, known=images.known_fields, delivery=DeliveryOptions.of(options))
    if dry_run:
        return DryRun(settings, question, options, images=images, sample=sample, **others)
    if not photos.write_back:
        return CaptionRun(settings, question, options, images=images, sample=sample, **others)
    sample = replace(sample, size=sample.size or SAMPLE_SIZE, consequence=", and write all captions into Photos")
    return PhotosRun(settings, question, options, images=images, open_app=ScriptedPhotosApp, sample=sample, **others)
