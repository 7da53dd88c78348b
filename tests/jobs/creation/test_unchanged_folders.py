"""A large folder that has its texts already: nothing in it is opened."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jobs.creation.chosen_images import choose
from jobs.creation.existing_texts import PendingImage, SkippedImage, plan_images
from jobs.creation.question import Question, job_about
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_walk import find_by_folder
from jobs.options.caption_options import CaptionOptions
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch
from tests.support.rows import RESULT

QUESTION = Question("demo", "Describe this image.", Sampling())

#: Files that are opened, by extension, while they are counted.
opened: Counter[str] = Counter()
_is_counting = False


def _count(event: str, args: tuple[Any, ...]) -> None:
    if _is_counting and event == "open" and isinstance(args[0], str | bytes):
        opened[Path(str(args[0])).suffix] += 1


@pytest.fixture
def counting() -> Any:
    """Count the files that are opened. An audit hook cannot be removed, so it does nothing outside of these tests."""
    global _is_counting
    if not hasattr(sys, "_captionq_counts_opens"):
        sys.addaudithook(_count)
        sys._captionq_counts_opens = True  # type: ignore[attr-defined]
    opened.clear()
    _is_counting = True
    yield opened
    _is_counting = False


def captioned_tree(root: Path, store: Store, folders: int, images: int) -> None:
    """Make a tree of images with their texts, which captionq wrote."""
    batch = Batch(description="test", model="demo")
    store.add_batch(batch)
    jobs = []
    for number in range(folders):
        folder = root / f"{number:02}"
        folder.mkdir(parents=True)
        for name in (f"{image:03}" for image in range(images)):
            image, text = folder / f"{name}.png", folder / f"{name}.txt"
            image.write_bytes(b"unchanged")
            text.write_text("The caption of this image.\n")
            jobs.append(job_about(PendingImage.at(image, text), QUESTION, batch))
    store.add(jobs)
    ids = [job.id for job in jobs]
    store.claim(ids, "worker")
    for job_id in ids:
        store.succeed(job_id, RESULT)


def test_a_second_run_over_a_large_tree_opens_none_of_its_files(
    store: Store, tmp_path: Path, counting: Counter[str]
) -> None:
    """Neither images nor texts; the new images are found among them."""
    root = tmp_path / "tree"
    captioned_tree(root, store, folders=10, images=30)
    for number in range(10):
        (root / f"{number:02}" / "new.png").touch()
    counting.clear()
    options = CaptionOptions()
    images = find_by_folder([root], recursive=True, only=FileFilter.of(options))
    planned = list(choose(plan_images(images, options, store=store, digest_of=str, named=[root]), options))
    assert sum(isinstance(one, SkippedImage) for one in planned) == 300
    assert sorted(one.image.name for one in planned if isinstance(one, PendingImage)) == ["new.png"] * 10
    assert (counting[".png"], counting[".txt"]) == (0, 0)
