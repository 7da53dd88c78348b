"""Images that may be read, and the errors of bad images."""

from __future__ import annotations

import base64
import contextlib
import errno
import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs.configuration.settings import Settings
from jobs.errors import (
    CaptionqError,
    ImageError,
    ImageForbiddenError,
    ImageNotDownloadedError,
    ImageTooLargeError,
)
from jobs.images.opening import check_image
from jobs.images.sources import image_source
from tests.support.bad_images import write_bad_images
from tests.support.other_user import run_without_rights
from tests.support.scenes import draw
from worker.pixels.decode import decode


def code_of(address: str, settings: Settings) -> str:
    """Return the code of an image's error; `ok` if the image can be used."""
    try:
        decode(image_source(address, settings), settings)
    except CaptionqError as error:
        return error.code if "\n" not in error.message else "more than a line"
    return "ok"


def test_every_bad_file_has_its_own_reason(tmp_path: Path, settings: Settings) -> None:
    """Empty, cut off, text, a bomb, a folder, a dangling link: each error has one line and the right code."""
    expected = write_bad_images(tmp_path / "bad")
    found = {name: code_of((tmp_path / "bad" / name).as_uri(), settings) for name in expected}
    assert found == expected


def test_errors_name_the_file_and_not_where_it_lies(tmp_path: Path, settings: Settings) -> None:
    """HTTP clients see the messages, too."""
    folder = tmp_path / "private"
    names = write_bad_images(folder)
    long = "x" * 300 + ".png"
    (folder / "loop.png").symlink_to(folder / "loop.png")
    for name in (*names, "nowhere.png", "loop.png", long, "no\0null.png"):
        with pytest.raises(ImageError) as caught:
            decode(image_source(f"file://{quote(str(folder / name))}", settings), settings)
        assert "private" not in caught.value.message
        assert name in caught.value.message
    (folder / "a.png").touch()
    with pytest.raises(ImageForbiddenError) as refused:
        image_source((folder / "a.png").as_uri(), settings, [tmp_path / "elsewhere"])
    assert "private" not in refused.value.message


def test_a_named_pipe_is_refused_without_waiting_for_it(tmp_path: Path, settings: Settings) -> None:
    """Opening the pipe would block the thread for good."""
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    assert code_of(pipe.as_uri(), settings) == "image_parse_error"


def test_a_file_without_permission_is_named(tmp_path: Path, settings: Settings) -> None:
    """A separate process of another user asks for the file."""
    path = tmp_path / "secret.png"
    draw(1, (64, 64)).image.save(path)
    path.chmod(0)
    imports = (
        "from pathlib import Path\nfrom jobs.errors import ImageForbiddenError\n"
        "from jobs.images.sources import image_source\nfrom jobs.configuration.settings import Settings"
    )
    code = (
        "try: image_source(Path(sys.argv[1]).as_uri(), Settings(data_dir=Path('/tmp/none')))\n"
        "except ImageForbiddenError as error: print(error.message)"
    )
    assert "permission denied" in run_without_rights(imports, code, str(path))


def test_a_folder_or_file_that_macos_protects_names_the_system_settings(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The permissions of the file are fine, and the system refuses nevertheless."""
    draw(1, (64, 64)).image.save(tmp_path / "a.png")

    def protected(*_: object) -> NoReturn:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "scandir", protected)
    with pytest.raises(
        ImageForbiddenError, match=f"read {tmp_path.name}. .* System Settings > Privacy & Security > Files"
    ):
        image_source(tmp_path.as_uri(), settings)
    monkeypatch.setattr(io, "FileIO", protected)
    with pytest.raises(ImageError, match=r"read a\.png\. .* System Settings"):
        check_image(tmp_path / "a.png", settings)


def test_a_file_that_is_in_icloud_only_is_named_and_tried_again(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A placeholder stands for the file, the file has no data here, or reading its data fails."""
    image = tmp_path / "a.png"
    draw(1, (64, 64)).image.save(image)
    dataless = SimpleNamespace(st_mode=image.stat().st_mode, st_size=9, st_flags=0x40000020)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", lambda *_, **__: dataless)
        with pytest.raises(ImageNotDownloadedError, match=r"^a\.png is in iCloud and not on this Mac\."):
            image_source(image.as_uri(), settings)
    for number in (errno.EDEADLK, errno.ETIMEDOUT):

        def unread(*_: object, number: int = number) -> NoReturn:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patched:
            patched.setattr(io, "FileIO", unread)
            with pytest.raises(
                ImageNotDownloadedError, match=r"^a\.png could not be read from its cloud or server: "
            ) as raised:
                check_image(image, settings)
            assert raised.value.transient
    image.rename(tmp_path / ".a.png.icloud")
    with pytest.raises(ImageNotDownloadedError, match=r"^a\.png is in iCloud"):
        image_source(image.as_uri(), settings)


def test_files_outside_the_allowed_roots_are_refused(tmp_path: Path) -> None:
    """The target of a link inside that leads outside is outside."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    draw(1, (64, 64)).image.save(inside / "a.png")
    draw(1, (64, 64)).image.save(outside / "b.png")
    (inside / "link.png").symlink_to(outside / "b.png")
    settings = Settings(data_dir=tmp_path / "data", allowed_roots=(inside,))
    assert image_source((inside / "a.png").as_uri(), settings) == (inside / "a.png").resolve()
    for path in (outside / "b.png", inside / "link.png", inside / ".." / "outside" / "b.png"):
        with pytest.raises(ImageForbiddenError, match="CAPTIONQ_ALLOWED_ROOTS"):
            image_source(f"file://{path}", settings)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://127.0.0.1/a.png", "invalid_image_url"),
        ("https://127.0.0.1/a.png", "address_forbidden"),
        ("/etc/passwd", "invalid_image_url"),
        ("file://host/a.png", "invalid_image_url"),
        ("ftp://a/b", "invalid_image_url"),
        ("data:image/png;base64,%%%", "invalid_base64_image"),
        ("data:image/png;base64,", "empty_image_file"),
        ("data:image/png,abc", "unsupported_image_media_type"),
        ("data:image/png;base64,AAAA", "unsupported_image_media_type"),
        ("file:///no/such/file.png", "image_not_reached"),
        ("file:///tmp/no-such-file.png", "image_file_not_found"),
        ("file:///no%00null.png", "image_parse_error"),
    ],
)
def test_addresses_that_lead_to_no_image_are_refused(address: str, code: str, settings: Settings) -> None:
    """A server that opens any address that clients name is a hole in a network."""
    assert code_of(address, settings) == code


def test_an_image_in_the_request_itself_is_decoded(tmp_path: Path, settings: Settings) -> None:
    """Most clients send images like this."""
    path = tmp_path / "a.png"
    draw(1, (64, 48)).image.save(path)
    address = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    assert decode(image_source(address, settings), settings).size == (64, 48)


def test_data_is_measured_before_it_is_decoded(tmp_path: Path) -> None:
    """The limit holds for files and for data."""
    settings = Settings(data_dir=tmp_path, max_image_bytes=1000)
    (tmp_path / "large.png").write_bytes(bytes(2000))
    with pytest.raises(ImageTooLargeError, match="CAPTIONQ_MAX_IMAGE_BYTES"):
        image_source((tmp_path / "large.png").as_uri(), settings)
    with pytest.raises(ImageTooLargeError):
        image_source("data:image/png;base64," + "A" * 4000, settings)


@given(
    content=st.binary(max_size=300),
    magic=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"GIF89a", b"BM"]),
)
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rubbish_never_raises_anything_but_an_image_error(settings: Settings, content: bytes, magic: bytes) -> None:
    """The job ends with one typed error, for any error of a decoder."""
    with contextlib.suppress(ImageError):
        decode(magic + content, settings)
