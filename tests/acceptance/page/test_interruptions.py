"""Live pages while a process is killed, suspended or stopped: a sentence appears, and goes away by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from api.pages.interruptions import NO_WORKER
from jobs.configuration.settings import Settings
from tests.support.processes import DATA_FOLDER, until
from tests.support.serving import Served, endless, serving

pytestmark = pytest.mark.timeout(300)

LOST = "The connection to captionq is lost. This page tries again by itself."
#: Milliseconds without a beat after which a connection is lost: more than `SILENCE` of `static/events.js`.
SILENCE = 15_000
#: Keeps the sentences that a page shows.
KEEP_SENTENCES = """
    window.sentences = [];
    addEventListener("DOMContentLoaded", () => {
        const notice = document.getElementById("notice");
        const keep = () => notice.checkVisibility() && window.sentences.push(notice.textContent);
        new MutationObserver(keep).observe(notice, { attributes: true, childList: true });
    });
"""
#: Milliseconds within which a page notices, and recovers, on a slow machine too.
PATIENCE = 60_000


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with a data folder that two servers use in turn."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("interruptions") / DATA_FOLDER)
    settings.make_folders()
    return settings


@pytest.fixture
def live_pages(browser: Browser, settings: Settings) -> Iterator[tuple[Served, list[Page]]]:
    """A server of the test's own, with the live pages: overview, run and picture, all with work to do."""
    with serving(settings) as served, browser.new_context(base_url=served.url) as context:
        jobs = served.client.post("/v1/jobs", json=[endless() for _ in range(40)]).json()["data"]
        run = f"/runs/{jobs[0]['batch']}"
        pages = []
        for path in ("/", run, f"{run}/pictures/{jobs[-1]['id']}"):
            page = context.new_page()
            page.clock.install()
            page.add_init_script(KEEP_SENTENCES)
            page.goto(path)
            pages.append(page)
        all_are_well(pages)
        yield served, pages


def all_said(sentence: str, pages: list[Page]) -> None:
    """Wait until each page has shown this sentence: it may be over by now."""
    for page in pages:
        page.wait_for_function("sentence => window.sentences.includes(sentence)", arg=sentence, timeout=PATIENCE)


def all_are_well(pages: list[Page]) -> None:
    """Wait until no page shows a sentence any more."""
    for page in pages:
        expect(page.locator("#notice")).to_be_hidden(timeout=PATIENCE)


def test_live_pages_say_who_is_away_and_recover(
    live_pages: tuple[Served, list[Page]], settings: Settings, browser: Browser
) -> None:
    """A killed worker is started again; a server that stands still, and one that was stopped, come back."""
    served, pages = live_pages
    os.kill(served.captionq.worker_pid(), signal.SIGKILL)
    all_said(NO_WORKER, pages)
    all_are_well(pages)
    server = psutil.Process(served.process.pid)
    server.suspend()
    for page in pages:
        page.clock.fast_forward(SILENCE)
    all_said(LOST, pages)
    server.resume()
    all_are_well(pages)
    for page in pages:
        page.evaluate("window.sentences = []")
    served.stop()
    all_said(LOST, pages)
    with serving(settings, "--port", served.url.rpartition(":")[2]) as again:
        all_are_well(pages)
        # What happens now reaches the pages that were open before.
        overview, run, _ = pages
        again.client.post("/v1/jobs", json=[endless()])
        expect(overview.locator(".run")).to_have_count(2)
        run.get_by_role("button", name="Cancel the rest").click()
        expect(overview.get_by_text("cancelled")).to_be_visible()
        until(lambda: "Retry" in run.content(), "the run's end")
