"""Captions written back into a Photos library, after a person has seen some and said yes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from cli.output.plurals import counted
from cli.output.progress_bar import ProgressBar
from cli.output.report import SHOWN_FAILURES, JsonReport, Report
from cli.output.tables.job_table import print_table
from cli.runs.sample import SampleOptions, confirmed
from jobs.captions.photos_library.photo_changes import ChangePlan, PhotoChange, plan_changes, write_change
from jobs.captions.photos_library.photo_texts import PhotoTexts
from jobs.captions.photos_library.photos_app import PhotosApp
from jobs.creation.chosen_images import evenly_spaced
from jobs.errors import OutputError, OutputForbiddenError
from jobs.images.photos_library.photo import Photo
from jobs.options.caption_options import CaptionOptions
from jobs.safe_text import safe_text
from jobs.store.store import Store

_HEADINGS = ("photo", "in Photos now", "will be written")


class WriteBack:
    """The last step of a run over a library."""

    def __init__(self, app: PhotosApp, options: CaptionOptions, sample: SampleOptions, report: Report) -> None:
        """Prepare the step.

        Args:
            app: writes.
            options: say which texts a person's own give way to: `--existing replace --force`.
            sample: whether a person has accepted one, or how many photos to show.
            report: of the run.
        """
        self._app = app
        self._replace = options.existing == "replace" and options.force
        self._as_keywords = options.keywords
        self._sample = sample
        self._report = report
        self._written: Counter[str] = Counter()
        self._failures: list[str] = []

    def run(self, texts: Iterable[tuple[Photo, Path]], store: Store) -> bool:
        """Write the captions into the photos that lack them. Returns False if some could not be written.

        What is written stays written after Ctrl-C, and the next run goes on with the others.

        Args:
            texts: the photos of the run with their text files.

        Raises OutputForbiddenError if Photos may not be told.
        """
        plan = plan_changes(texts, store, as_keywords=self._as_keywords, replace=self._replace)
        try:
            if plan.changes and self._is_accepted(plan.changes):
                self._write(plan.changes)
        finally:
            self._sum_up(plan)
        return not self._failures

    def _is_accepted(self, changes: list[PhotoChange]) -> bool:
        if self._sample.acceptance.given or self._sample.assume_yes:
            return True
        shown, _ = evenly_spaced(changes, self._sample.size or 1)
        self._show([(one.photo.name, _now(one), _in_words(one.change)) for one in shown])
        action = f"write the texts of {counted(len(changes), 'photo')} into Photos"
        return confirmed(action, self._report, declined="Nothing was written into Photos.")

    def _show(self, rows: list[tuple[str, str, str]]) -> None:
        if isinstance(self._report, JsonReport):
            # Objects only go to standard output, and these are no results.
            for name, now, new in rows:
                self._report.note(f"{name}: {now} → {new}")
            return
        safe = [tuple(map(safe_text, row)) for row in rows]
        print_table(_HEADINGS, safe, [None] * len(safe), (1, 2, 3), wrap=True)

    def _write(self, changes: list[PhotoChange]) -> None:
        bar, begun = ProgressBar("photos"), time.monotonic()
        with bar.drawn(len(changes)):
            bar.describe("Writing into Photos")
            for number, change in enumerate(changes, start=1):
                try:
                    self._count(write_change(change, self._app, replace=self._replace))
                except OutputForbiddenError:
                    raise
                except OutputError as error:
                    self._failures.append(f"{change.photo.name}: {error.message}")
                bar.advance(len(self._failures))
                bar.show_rate(number / (time.monotonic() - begun))

    def _count(self, written: PhotoTexts) -> None:
        self._written["photo"] += bool(written)
        self._written["title"] += bool(written.title)
        self._written["description"] += bool(written.description)
        self._written["keyword"] += len(written.keywords)

    def _sum_up(self, plan: ChangePlan) -> None:
        kinds = [
            counted(self._written[kind], kind) for kind in ("title", "description", "keyword") if self._written[kind]
        ]
        details = f" ({', '.join(kinds)})" if kinds else ""
        self._report.line(f"Written into Photos: {counted(self._written['photo'], 'photo')}{details}")
        if plan.kept:
            keep = "keeps" if plan.kept == 1 else "keep"
            self._report.line(
                f"{counted(plan.kept, 'photo')} {keep} the title or description that a person wrote: "
                "--existing replace --force replaces it too"
            )
        for failure in self._failures[:SHOWN_FAILURES]:
            self._report.line(f"  {failure}")
        if (more := len(self._failures) - SHOWN_FAILURES) > 0:
            self._report.line(f"  and {more} more could not be written")


def _now(one: PhotoChange) -> str:
    """Return those texts that the change is about, as they are."""
    photo, change = one.photo, one.change
    there = PhotoTexts(
        photo.title if change.title else "",
        photo.description if change.description else "",
        photo.keywords if change.keywords else (),
    )
    return _in_words(there) or "–"


def _in_words(texts: PhotoTexts) -> str:
    parts = (
        texts.title and f"title: {texts.title}",
        texts.description,
        texts.keywords and f"keywords: {', '.join(texts.keywords)}",
    )
    return " ".join("; ".join(part for part in parts if part).split())
