"""The browser and the server of the page's tests.

They live as long as tests of this folder run, and no longer: Playwright keeps an event loop in the thread, beside which other
tests cannot start theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import MISSING, chromium, find_chromium
from tests.support.pages import page_server, session_of, watched_page
from tests.support.serving import Served


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests of the page. On a machine without any, they are left out."""
    if find_chromium() is None:
        pytest.skip(MISSING)
    # A loaded machine takes its time.
    expect.set_options(timeout=20_000)
    with chromium() as running:
        yield running


@pytest.fixture(scope="package")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of the page, with a key and one served folder. It is not started without a browser."""
    with page_server(tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest.fixture(scope="package")
def session(browser: Browser, served: Served) -> Any:
    """The cookies of a person who has logged in."""
    return session_of(browser, served)


@pytest.fixture
def page(browser: Browser, served: Served, session: Any) -> Iterator[Page]:
    """A window of the test's own, logged in. The test fails if a page reports a fault."""
    with watched_page(browser, served, session) as opened:
        yield opened
