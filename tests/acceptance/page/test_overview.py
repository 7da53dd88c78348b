"""The overview in a real browser: turns, batches and older runs."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from jobs.store.store import Store
from jobs.store.tables import Batch
from tests.support.pages import make_run
from tests.support.serving import Served

pytestmark = pytest.mark.timeout(300)

#: Milliseconds within which a change comes to the page, on a slow machine too.
PATIENCE = 60_000


def test_waiting_runs_have_turns_and_older_runs_have_pages(served: Served, page: Page) -> None:
    """The turns come in the HTML and with the events; older runs are reached by links, and their pages stay as they are."""
    store = Store(served.captionq.settings)
    for days in range(1, 61):
        store.add_batch(Batch(description=f"Day {days}", model="demo", created_at=time.time() - 86_400 * days))
    store.close()
    with served.paused():
        first, second = make_run(served, "turns", 4, priority=1), make_run(served, "later turns", 2)
        page.goto("/")
        rows = {run: page.locator(f'a[href="/runs/{run}"]') for run in (first, second)}
        expect(rows[first]).to_contain_text("Next", timeout=PATIENCE)
        expect(rows[second]).to_contain_text("First picture after 4 others", timeout=PATIENCE)
        served.client.delete(f"/v1/folders/{first}")
        expect(rows[first]).to_contain_text("4 cancelled", timeout=PATIENCE)
        expect(rows[second]).to_contain_text("Next", timeout=PATIENCE)
        served.client.delete(f"/v1/folders/{second}")
    expect(page.get_by_role("img", name="Sequences in the batch: now")).to_be_visible()
    page.goto("/")
    page.get_by_role("link", name="Older runs").click()
    expect(page.get_by_role("heading", name="Older runs")).to_be_visible()
    expect(page.get_by_text("Day 60", exact=True)).to_be_visible()
    expect(page.get_by_text("Day 1", exact=True)).to_be_hidden()
    with page.expect_response("**/live?before=**"):
        page.reload()
    expect(page.get_by_text("Nothing to do").first).to_be_visible()
    expect(rows[second]).to_be_hidden()
    page.get_by_role("link", name="Newest runs").click()
    expect(rows[second]).to_be_visible()
