"""The order of a run's images, and their limit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.captions.text_places import TextPlace
from jobs.creation.chosen_images import choose, choose_rows
from jobs.creation.existing_texts import PendingImage, SkippedImage
from jobs.options.selection import SelectionOptions

Planned = PendingImage | SkippedImage


def planned(folder: Path, count: int) -> list[Planned]:
    """Make images of which every third has its text. The later its name, the newer is the image; two are equally old."""
    found: list[Planned] = []
    for number in range(count):
        image = folder / f"{number}.png"
        image.touch()
        os.utime(image, (1000 * max(number, 2),) * 2)
        text = image.with_suffix(".txt")
        found.append(PendingImage.at(image, text) if number % 3 else SkippedImage(TextPlace.at(image, text)))
    return found


def chosen(images: list[Planned] | Iterator[Planned], **options: Any) -> tuple[str, str]:
    """Return the numbers of the images that are captioned, and of those that are skipped."""
    found = list(choose(images, SelectionOptions(**options)))
    kinds: tuple[type[Planned], ...] = (PendingImage, SkippedImage)
    wanted, skipped = ("".join(one.image.stem for one in found if isinstance(one, kind)) for kind in kinds)
    return wanted, skipped


def test_a_limit_counts_images_that_need_a_text(tmp_path: Path) -> None:
    """Skipped images do not count, and nothing is looked at after the last image."""
    images = iter(planned(tmp_path, 9))
    assert chosen(images, limit=3) == ("124", "03")
    assert next(images).image.stem == "5"
    assert chosen(planned(tmp_path, 9), limit=99) == ("124578", "036")


def test_the_latest_changes_come_first(tmp_path: Path) -> None:
    """Images of the same time stay in the order of their names; a missing file comes last and raises nothing."""
    images = planned(tmp_path, 9)
    assert chosen(images, order="date") == ("875412", "036")
    assert chosen(images, order="date", limit=2) == ("87", "036")
    (tmp_path / "8.png").unlink()
    assert chosen(images, order="date", limit=6) == ("754128", "036")


def test_a_shuffle_is_the_same_in_each_run(tmp_path: Path) -> None:
    """So the next run with a limit takes the next images of the same shuffle."""
    images = planned(tmp_path, 9)
    shuffled, _ = chosen(images, order="random")
    assert chosen(images[::-1], order="random")[0] == shuffled
    assert sorted(shuffled) == list("124578")
    assert chosen(images, order="random", limit=2)[0] == shuffled[:2]
    done = [one for one in images if one.image.stem not in shuffled[:2]]
    assert chosen(done, order="random", limit=2)[0] == shuffled[2:4]
    # The shuffle is by the paths, and one of six images may be in order by chance.
    many = [PendingImage.at(tmp_path / f"{number:03}.png", tmp_path / f"{number:03}.txt") for number in range(100)]
    order = [one.image.name for one in choose(many, SelectionOptions(order="random")) if isinstance(one, PendingImage)]
    assert order != sorted(order)


def test_an_order_that_there_is_not_is_refused() -> None:
    """The orders are named."""
    with pytest.raises(ValueError, match="'name', 'date' or 'random'"):
        SelectionOptions(order="size")


@pytest.mark.parametrize(
    ("options", "rows"),
    [({}, "01234"), ({"limit": 2}, "01"), ({"order": "date"}, "43012"), ({"order": "date", "limit": 1}, "4")],
)
def test_a_table_has_its_rows_in_order(tmp_path: Path, options: dict[str, Any], rows: str) -> None:
    """All images count, also those that have a text."""
    images = [one.image for one in planned(tmp_path, 5)]
    assert "".join(image.stem for image in choose_rows(images, SelectionOptions(**options))) == rows
