"""The parts in which a run queues its images while it looks for others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from cli.runs.images import ready_parts as module
from cli.runs.images.ready_parts import ready_parts
from jobs.captions.text_places import TextPlace
from jobs.creation.create import JOBS_A_TRANSACTION
from jobs.creation.existing_texts import PendingImage, SkippedImage


def wanted(number: int) -> PendingImage:
    """Return an image that needs a text."""
    return PendingImage.at(Path(f"{number}.jpg"), Path(f"{number}.txt"))


SKIPPED = SkippedImage(TextPlace.at(Path("old.jpg"), Path("old.txt")))


def test_the_first_part_is_ready_before_the_walk_goes_on() -> None:
    """As many images as one transaction queues are a part, and no image is looked for meanwhile."""
    found: list[int] = []

    def walk() -> Iterator[PendingImage]:
        for number in range(3 * JOBS_A_TRANSACTION):
            found.append(number)
            yield wanted(number)

    parts = ready_parts(walk())
    assert len(next(parts)) == len(found) == JOBS_A_TRANSACTION
    assert [len(part) for part in parts] == [JOBS_A_TRANSACTION] * 2


def test_a_slow_walk_gives_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part ends with its time. The first has an image; later ones may be empty, so that the caller can look after its jobs."""
    monkeypatch.setattr(module, "PART_SECONDS", 0.0)
    assert list(ready_parts([SKIPPED, wanted(1), SKIPPED, wanted(2)])) == [[wanted(1)], [], [wanted(2)]]


def test_every_image_is_in_one_part() -> None:
    images = [wanted(number) for number in range(2 * JOBS_A_TRANSACTION + 1)]
    assert list(chain.from_iterable(ready_parts([SKIPPED, *images, SKIPPED]))) == images


def test_a_run_without_work_has_no_part() -> None:
    assert list(ready_parts([SKIPPED] * 3)) == []
