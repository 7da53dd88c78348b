"""Pictures and texts in a store that speaks S3: addresses, limits, conditions, walks, undo and blobs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from jobs.captions.sidecars import Sidecars
from jobs.captions.text_files import read_output, write_output
from jobs.configuration.settings import Settings
from jobs.errors import (
    DamagedBlobError,
    EmptyImageError,
    ImageForbiddenError,
    ImageNotFoundError,
    ImageNotReachedError,
    ImageTooLargeError,
    InvalidImageURLError,
    ObjectStoreError,
)
from jobs.images.allowed_roots import is_below
from jobs.images.sources import image_source
from jobs.images.stored.blobs import blob_address, blob_path, find_blob, put_blob, remove_blob
from jobs.images.walking.folder_walk import find_images
from jobs.objects.paths import object_path
from jobs.objects.store import list_folder
from jobs.requests import address_of, path_of
from tests.support.object_store import BUCKET, ObjectStore


def at(key: str) -> Path:
    """Return the path of a key in the bucket."""
    return object_path(f"s3://{BUCKET}/{key}")


@pytest.mark.parametrize("key", ["a.jpg", "2024/ä b?#%.jpg", "deep/er/a.b.jpg"])
def test_an_address_and_its_path_stand_for_each_other(key: str) -> None:
    assert path_of(address_of(at(key))) == at(key)
    assert address_of(at(key)) == f"s3://{BUCKET}/{key}"


@pytest.mark.parametrize("address", ["s3://", "s3:///a", "s3://b//a", "s3://b/../c/a", "s3://b/./a", "s3://b/a\0"])
def test_keys_that_no_path_holds_are_refused(address: str) -> None:
    with pytest.raises(InvalidImageURLError):
        object_path(address)


def test_pictures_are_read_within_the_limits(server: ObjectStore, settings: Settings) -> None:
    """The size is known before anything is fetched."""
    small = settings.model_copy(update={"max_image_bytes": 10})
    for key, content in (("r/ten.jpg", b"0123456789"), ("r/eleven.jpg", b"0123456789a"), ("r/empty.jpg", b"")):
        server.put(key, content)
    assert image_source(f"s3://{BUCKET}/r/ten.jpg", small) == b"0123456789"
    for key, kind in (("eleven", ImageTooLargeError), ("empty", EmptyImageError), ("none", ImageNotFoundError)):
        with pytest.raises(kind) as raised:
            image_source(f"s3://{BUCKET}/r/{key}.jpg", small)
        assert not isinstance(raised.value, ImageNotReachedError)


def test_a_missing_bucket_is_not_a_missing_picture(settings: Settings, server: ObjectStore) -> None:
    """Another worker may reach the bucket. No error and no log holds the key of the account."""
    with pytest.raises(ImageNotReachedError, match="the bucket does not exist") as raised:
        image_source("s3://nowhere/a.jpg", settings)
    assert raised.value.root == "s3://nowhere"
    assert raised.value.transient
    assert server.environment["AWS_SECRET_ACCESS_KEY"] not in str(raised.value)


def test_objects_below_allowed_prefixes_only(server: ObjectStore, settings: Settings) -> None:
    """The folder of a bucket's name on this disk gives no right to the bucket, and the other way round."""
    server.put("open/a.jpg", b"x")
    server.put("opener/a.jpg", b"x")
    roots = [at("open")]
    assert image_source(f"s3://{BUCKET}/open/a.jpg", settings, roots) == b"x"
    for address, allowed in ((f"s3://{BUCKET}/opener/a.jpg", roots), (f"s3://{BUCKET}/open/a.jpg", [Path("/")])):
        with pytest.raises(ImageForbiddenError):
            image_source(address, settings, allowed)
    assert not is_below(Path("/etc/passwd"), roots)
    assert not is_below(Path("s3:/pictures/open/../opener/a.jpg"), roots)


def test_a_walk_goes_through_folders_in_the_order_of_names(server: ObjectStore) -> None:
    for key in ("w/b.jpg", "w/a.PNG", "w/notes.txt", "w/.hidden.jpg", "w/sub/c.jpg", "w/.git/d.jpg"):
        server.put(key, b"x")
    names = [str(path.relative_to(at("w"))) for path in find_images([at("w")], recursive=True)]
    assert names == ["a.PNG", "b.jpg", "sub/c.jpg"]
    assert list(find_images([at("w")], recursive=False)) == [at("w/a.PNG"), at("w/b.jpg")]
    assert list(find_images([at("w/b.jpg")], recursive=True)) == [at("w/b.jpg")]
    with pytest.raises(ObjectStoreError):
        list(find_images([object_path("s3://nowhere/w")], recursive=True))


def test_a_listing_has_more_than_a_page(server: ObjectStore) -> None:
    """The server sends a thousand names a page."""
    for number in range(1003):
        server.put(f"many/{number:04}.jpg", b"x")
    objects, folders = list_folder(at("many"))
    assert (len(objects), objects[-1].name, folders) == (1003, "1002.jpg", [])


def test_a_text_is_written_only_where_it_was_expected(server: ObjectStore) -> None:
    """A text of another program that came meanwhile stays."""
    path = at("t/a.txt")
    assert read_output(path) is None
    assert write_output(path, b"one\n", replaces=None, writer="w")
    assert not write_output(path, b"two\n", replaces=None, writer="w")
    assert write_output(path, b"two\n", replaces=b"one\n", writer="w")
    assert not write_output(path, b"three\n", replaces=b"one\n", writer="w")
    assert server.get("t/a.txt") == b"two\n"
    server.put("t/a.jpg", b"x")
    assert Sidecars().path_for(at("t/a.jpg")) == path


def test_blobs_are_found_by_other_machines(server: ObjectStore, settings: Settings, tmp_path: Path) -> None:
    """The copy of this machine may be lost or damaged; that of the store decides."""
    url = f"s3://{BUCKET}/blobs"
    here, there = settings.model_copy(update={"blob_url": url}), Settings(data_dir=tmp_path / "there", blob_url=url)
    there.make_folders()
    sha256, _ = put_blob([b"picture"], here, most=100, too_large=ImageTooLargeError)
    assert find_blob(blob_address(sha256), there).read_bytes() == b"picture"
    blob_path(sha256, here).write_bytes(b"pXcture")
    assert find_blob(blob_address(sha256), here).read_bytes() == b"picture"
    server.put(f"blobs/{sha256[:2]}/{sha256[2:]}", b"damaged")
    blob_path(sha256, here).unlink()
    with pytest.raises(DamagedBlobError):
        find_blob(blob_address(sha256), here)
    assert remove_blob(sha256, there, before=2e9 * 2)
    assert server.get(f"blobs/{sha256[:2]}/{sha256[2:]}") is None
    assert sha256 == hashlib.sha256(b"picture").hexdigest()
