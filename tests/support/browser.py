"""A real Chromium, as installed on the machine, for the tests of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

#: The variable that names the browser's program; empty: there is none.
VARIABLE = "CAPTIONQ_TEST_CHROMIUM"
#: Names of the program in the order of preference.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
#: Applications of macOS, in /Applications or in the person's own folder of them.
APPLICATIONS = ("Google Chrome", "Chromium", "Microsoft Edge")
MISSING = (
    "No Chromium is installed. On macOS: brew install --cask google-chrome. On Debian: apt-get install chromium. "
    f"{VARIABLE} names another one."
)


def find_chromium() -> str | None:
    """Return the path of a Chromium, Chrome or Edge; None: there is none."""
    if (named := os.environ.get(VARIABLE)) is not None:
        return shutil.which(named)
    programs = [shutil.which(name) for name in NAMES]
    for folder in (Path("/Applications"), Path.home() / "Applications"):
        programs += [shutil.which(folder / f"{name}.app/Contents/MacOS/{name}") for name in APPLICATIONS]
    return next((program for program in programs if program is not None), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium for the block. Raises LookupError if none is installed."""
    found = find_chromium()
    if found is None:
        raise LookupError(MISSING)
    with sync_playwright() as playwright:
        # The sandbox needs rights that containers do not have; only our own page is opened.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
