"""The images of a run in parts, as they are found: the first are captioned while others are looked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from jobs.creation.create import JOBS_A_TRANSACTION
from jobs.creation.existing_texts import PendingImage, SkippedImage

#: Seconds after which a part ends, however few images it has.
PART_SECONDS = 0.5


def ready_parts(planned: Iterable[PendingImage | SkippedImage]) -> Iterator[list[PendingImage]]:
    """Yield the images that need a text, in order: as many as one transaction queues, or those that half a second found.

    Parts after the first may be empty. The caller follows jobs, and would stand still while very many images are skipped.
    """
    part: list[PendingImage] = []
    is_first, begun = True, time.monotonic()
    for one in planned:
        if isinstance(one, PendingImage):
            part.append(one)
        is_due = time.monotonic() - begun >= PART_SECONDS and (part or not is_first)
        if is_due or len(part) == JOBS_A_TRANSACTION:
            yield part
            part = []
            is_first, begun = False, time.monotonic()
    if part:
        yield part
