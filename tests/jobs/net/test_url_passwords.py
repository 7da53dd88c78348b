"""Passwords in addresses."""

from __future__ import annotations

import pytest

from jobs.net.url_passwords import without_password

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis://user:{SECRET}@host:6379/0", "redis://user:********@host:6379/0"),
        (f"redis://:{SECRET}@host", "redis://:********@host"),
        (f"redis://:{SECRET}/@:?#{SECRET}@host/0", "redis://:********@host/0"),
        (f"redis+sentinel://u:{SECRET}@a,b/name?sentinel_password={SECRET}", None),
        (f"rediss://host/0?ssl_password={SECRET}&db=1", "rediss://host/0?ssl_password=********&db=1"),
        (f"redis://host/0?db=1&PassWord={SECRET}", "redis://host/0?db=1&PassWord=********"),
        (f"postgresql+psycopg://captionq:{SECRET}@db/captionq", "postgresql+psycopg://captionq:********@db/captionq"),
        ("postgresql+psycopg://captionq@db:5432/captionq", "postgresql+psycopg://captionq@db:5432/captionq"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("unix:///a:b@c/redis.sock", "unix:///a:b@c/redis.sock"),
        ("sqlite:////data/a%20b.db", "sqlite:////data/a%20b.db"),
    ],
)
def test_no_password_is_shown(url: str, shown: str | None) -> None:
    """Passwords with characters that should have been percent-encoded are masked too."""
    masked = without_password(url)
    assert SECRET not in masked
    assert shown in (None, masked)
