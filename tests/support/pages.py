"""Helpers of the page's tests: a server with a key and a served folder, runs of pictures, and pages that report faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page

from jobs.configuration.settings import Settings
from tests.support.processes import DATA_FOLDER, until
from tests.support.scenes import save_scenes
from tests.support.serving import Served, serving

KEY = "the-key-of-the-tests"
#: A name of a folder that would run a script, if the page took names for markup.
HOSTILE = "<img src=x onerror=document.title='broken'>"


@contextmanager
def page_server(folder: Path) -> Iterator[Served]:
    """Run a server with a key and one served folder."""
    (folder / "pictures").mkdir()
    settings = Settings(data_dir=folder / DATA_FOLDER)
    settings.make_folders()
    with serving(settings, "--allow-root", folder / "pictures", CAPTIONQ_API_KEYS=json.dumps({"tests": KEY})) as served:
        served.client.headers.update({"Authorization": f"Bearer {KEY}"})
        yield served


def session_of(browser: Browser, served: Served) -> Any:
    """Log in once, and return the cookies for other windows."""
    with browser.new_context(base_url=served.url) as context:
        log_in(context.new_page())
        return context.storage_state()


@contextmanager
def watched_page(browser: Browser, served: Served, session: Any, **window: Any) -> Iterator[Page]:
    """Open a window that is logged in. The block fails if the page reports a fault, such as a refused script."""
    size = {"width": 1280, "height": 800}
    context = browser.new_context(base_url=served.url, storage_state=session, **{"viewport": size, **window})
    faults: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if _is_fault(said, page) else None)
    try:
        yield page
    finally:
        context.close()
    assert faults == []


def _is_fault(said: ConsoleMessage, page: Page) -> bool:
    """Tell whether a message is about a fault. The browser also reports a page that says why something is not possible."""
    return said.type == "error" and said.location["url"] != page.url


def log_in(page: Page, path: str = "/") -> None:
    """Open a path, and give the key to the form that it leads to."""
    page.goto(path)
    page.get_by_label("API key").fill(KEY)
    page.get_by_label("API key").press("Enter")
    page.wait_for_url(f"**{path}")


def pictures(served: Served) -> Path:
    """Return the served folder."""
    return served.captionq.settings.data_dir.parent / "pictures"


def make_run(served: Served, name: str, count: int = 3, **options: object) -> str:
    """Queue a served folder of pictures; return the run's id."""
    save_scenes(pictures(served) / name, count)
    return queue(served, pictures(served) / name, **options)


def queue(served: Served, folder: Path, **options: object) -> str:
    """Queue a folder; return the run's id."""
    made = served.client.post("/v1/folders", json={"path": str(folder), "preset": "describe", **options})
    assert made.status_code == 201, made.text
    run_id: str = made.json()["id"]
    return run_id


def wait_for_end(served: Served, run_id: str) -> None:
    """Wait until all jobs of the run have ended."""
    until(lambda: served.client.get(f"/v1/folders/{run_id}").json()["status"] == "ended", "the run's end")
