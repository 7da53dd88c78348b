"""The store, open for one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.store.store import Store


@contextmanager
def open_store() -> Iterator[Store]:
    """Open the store of the settings for the block. Its modules are imported here: the help does without them."""
    from jobs.configuration.read_settings import read_settings
    from jobs.store.store import Store

    store = Store(read_settings())
    try:
        yield store
    finally:
        store.close()
