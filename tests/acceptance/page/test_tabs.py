"""Several tabs and several streams of one browser, which holds six connections to a server for all of its tabs together."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.pages import make_run, wait_for_end, watched_page
from tests.support.serving import Served

pytestmark = pytest.mark.timeout(300)

#: Tabs that are open: more than a browser has connections.
TABS = 8
#: Lets a page know that another tab covers it, or that it is in sight. A browser without a screen covers none.
COVER = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_tabs_out_of_sight_keep_no_connection_and_go_on_when_they_are_seen(
    served: Served, browser: Browser, session: Any
) -> None:
    """Any number of live pages can be open; one that comes back into sight learns of the runs that began meanwhile."""
    with watched_page(browser, served, session) as first:
        tabs = [first, *(first.context.new_page() for _ in range(TABS - 1))]
        for tab in tabs:
            tab.goto("/")
            expect(tab.get_by_role("heading", name="Runs")).to_be_visible()
            tab.evaluate(COVER, True)
        made = served.client.post("/v1/jobs", json=[{"messages": [{"role": "user", "content": "Hello"}]}]).json()
        first.evaluate(COVER, False)
        expect(first.locator(f'a[href="/runs/{made["data"][0]["batch"]}"]')).to_be_visible()


def test_many_questions_wait_on_one_page_and_all_are_answered(served: Served, page: Page) -> None:
    """While a worker stands still, questions are asked one after the other; with its return come the answers."""
    run_id = make_run(served, "many questions", 1)
    wait_for_end(served, run_id)
    page.goto(f"/runs/{run_id}")
    page.locator(".card a").click()
    with served.paused():
        for number in range(TABS):
            page.get_by_label("Question", exact=True).fill(f"What shapes are there? {number}")
            page.get_by_role("button", name="Ask", exact=True).click()
            expect(page.locator(".question")).to_have_count(number + 1)
    expect(page.locator(".question .waiting")).to_have_count(0, timeout=120_000)
    assert all(page.locator(".question .growing").all_inner_texts())
