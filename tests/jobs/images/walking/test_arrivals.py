"""Images that come into a watched folder."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.images.walking.arrivals import OLD_SECONDS, SETTLED_SECONDS, Arrivals


def test_an_image_is_taken_once_when_it_has_not_changed_for_a_while(tmp_path: Path) -> None:
    """A copy that goes on, an image that is changed later, and one that is removed and comes back."""
    image = tmp_path / "a.png"
    image.write_bytes(b"1")
    now = image.stat().st_ctime
    arrivals = Arrivals()
    assert arrivals.ready([image], now) == []
    image.write_bytes(b"12")
    assert arrivals.ready([image], now + 2) == []
    assert arrivals.ready([image], now + 3) == []
    assert arrivals.ready([image], now + 2 + SETTLED_SECONDS) == [image]
    assert arrivals.ready([image], now + 9) == []
    os.utime(image, (now, now + 1))
    assert arrivals.ready([image], now + 10) == []
    assert arrivals.ready([image], now + 10 + SETTLED_SECONDS) == [image]
    assert arrivals.ready([], now + 20) == []
    assert arrivals.ready([image], now + OLD_SECONDS + 2) == [image]


def test_a_change_by_captionq_itself_is_no_arrival(tmp_path: Path) -> None:
    """The first sight is one, whoever wrote the image last, and so is a change by others."""
    image = tmp_path / "a.png"
    image.write_bytes(b"captioned before")
    now = image.stat().st_ctime
    arrivals = Arrivals(lambda path: path.read_bytes().startswith(b"captioned"))
    assert arrivals.ready([image], now) == []
    assert arrivals.ready([image], now + SETTLED_SECONDS) == [image]
    image.write_bytes(b"captioned again")
    for later in (10, 11, 10 + SETTLED_SECONDS, 20):
        assert arrivals.ready([image], now + later) == []
    image.write_bytes(b"painted over")
    assert arrivals.ready([image], now + 30) == []
    assert arrivals.ready([image], now + 30 + SETTLED_SECONDS) == [image]


def test_old_images_are_taken_at_first_sight_and_only_files_are(tmp_path: Path) -> None:
    """Folders and files that are gone are left alone, and raise nothing."""
    image = tmp_path / "a.png"
    image.touch()
    arrivals = Arrivals()
    now = image.stat().st_ctime + OLD_SECONDS + 1
    assert arrivals.ready([image, tmp_path, tmp_path / "gone.png"], now) == [image]
