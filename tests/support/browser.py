"""A real Chromium, as installed on the machine, for the tests of the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

#: Names of the program in the order of preference.
NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium for the block. Skips the test on a machine without any."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("No Chromium is installed, so the page was not tested. On Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        # The sandbox needs rights that containers do not have; only our own page is opened.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
