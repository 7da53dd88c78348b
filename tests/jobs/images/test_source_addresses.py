"""Addresses of images that jobs name: on the net, among the blobs, below the allowed roots."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import (
    ImageError,
    ImageForbiddenError,
    ImageNotFoundError,
    ImageTooLargeError,
    InvalidImageURLError,
)
from jobs.images.sources import image_source
from jobs.images.stored.blobs import blob_address, blob_path, put_blob
from tests.support.servers import reply, serving

IMAGE = b"\x89PNG and so on"


@pytest.mark.parametrize(
    "url", ["https://", "http://a.example/a.png", "https://u:p@a.example/", "https://a.example:99999/"]
)
def test_addresses_that_are_not_valid_have_their_own_error(url: str, settings: Settings) -> None:
    """The caller can correct such an address."""
    with pytest.raises(InvalidImageURLError):
        image_source(url, settings)


def test_a_job_finds_its_image_on_the_net_and_among_the_blobs(tmp_path: Path) -> None:
    """One function finds both, and refuses a malformed address of a blob."""
    local = Settings.model_validate({"data_dir": tmp_path / "data", "allowed_networks": ("127.0.0.1/32", "::1/128")})
    local.make_folders()
    with serving(reply(body=IMAGE)) as url:
        assert image_source(f"{url}/a.png", local, roots=[]) == IMAGE
    sha256, _ = put_blob([IMAGE], local, most=1000, too_large=ImageTooLargeError)
    assert image_source(blob_address(sha256), local, roots=[]) == blob_path(sha256, local)
    with pytest.raises(ImageNotFoundError):
        image_source(blob_address("0" * 64), local)
    with pytest.raises(ImageError):
        image_source("blob:../../etc/passwd", local)


def test_a_list_of_roots_takes_the_place_of_the_settings(tmp_path: Path, settings: Settings) -> None:
    """No file lies below an empty list of roots."""
    inside, outside = tmp_path / "inside" / "a.png", tmp_path / "outside" / "a.png"
    for path in (inside, outside):
        path.parent.mkdir()
        path.write_bytes(IMAGE)
    assert image_source(inside.as_uri(), settings, roots=[inside.parent]) == inside.resolve()
    assert image_source(outside.as_uri(), settings) == outside.resolve()
    for roots in ([], [inside.parent]):
        with pytest.raises(ImageForbiddenError, match="CAPTIONQ_SERVED_ROOTS"):
            image_source(outside.as_uri(), settings, roots=roots)
