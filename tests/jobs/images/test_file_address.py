"""Files that clients name by addresses and paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import InvalidImageURLError
from jobs.images.file_address import named_path, names_path


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("file:///a/b c.png", "/a/b c.png"),
        ("file:///a/b%20c%23.png", "/a/b c#.png"),
        ("file:///a/Z%C3%BCrich.png", "/a/Zürich.png"),
        ("FILE:///a/b.png", "/a/b.png"),
        ("file://localhost/a/b.png", "/a/b.png"),
        ("file://LOCALHOST/a/b.png", "/a/b.png"),
        ("file:/a/b.png", "/a/b.png"),
        ("/a/b%20c.png", "/a/b%20c.png"),
        ("/a/100%.png ", "/a/100%.png "),
    ],
)
def test_a_file_of_this_machine_is_named(name: str, path: str) -> None:
    """The forms of RFC 8089, and a plain path, in which nothing is encoded."""
    assert names_path(name)
    assert named_path(name) == Path(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file://host/a.png", "another machine ('host')"),
        ("file://a.png", "another machine ('a.png')"),
        ("file://./a.png", "another machine"),
        ("file://127.0.0.1/a.png", "another machine"),
        ("file://localhost.evil.example/a.png", "another machine"),
        ("file://user@localhost/a.png", "another machine"),
        ("file:a.png", "must be absolute"),
        ("file:../a.png", "must be absolute"),
        ("file:", "must be absolute"),
        ("file://localhost", "must be absolute"),
        ("a.png", "must be absolute"),
        ("../a.png", "must be absolute"),
        ("~/a.png", "must be absolute"),
        ("C:\\a.png", "Windows"),
        ("c:/a.png", "Windows"),
        ("\\\\host\\a.png", "Windows"),
        ("file:///C:/a.png", "Windows"),
        ("file://C:/a.png", "Windows"),
    ],
)
def test_other_names_are_refused_with_the_reason(name: str, reason: str) -> None:
    """A name without a place of its own is never read below the folder of the server."""
    assert names_path(name)
    with pytest.raises(InvalidImageURLError) as refused:
        named_path(name)
    assert reason in refused.value.message


@pytest.mark.parametrize("name", ["ftp://a/b.png", "blob:00", "javascript:x"])
def test_other_schemes_name_no_file(name: str) -> None:
    """They are refused as addresses."""
    assert not names_path(name)
