"""A server of objects for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.objects import store as objects
from tests.support.object_store import ObjectStore, object_store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A server for the tests of a module: each uses keys of its own."""
    with object_store(tmp_path_factory.mktemp("objects")) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server's variables, as a person sets them."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    objects._bucket.cache_clear()
    yield
    objects._bucket.cache_clear()
