"""The page of a running `captionq serve` in a real Chromium: logging in, the runs, a run and its pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from jobs.configuration.settings import Settings
from tests.support.browser import chromium
from tests.support.processes import DATA_FOLDER, until
from tests.support.scenes import save_scenes
from tests.support.serving import Served, serving

pytestmark = pytest.mark.timeout(300)

KEY = "the-key-of-the-tests"
#: A name of a folder that would run a script, if the page took names for markup.
HOSTILE = "<img src=x onerror=document.title='broken'>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file, with a key and one served folder. It is not started without a browser."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "pictures").mkdir()
    settings = Settings(data_dir=folder / DATA_FOLDER)
    settings.make_folders()
    keys = json.dumps({"tests": KEY})
    with serving(settings, "--allow-root", folder / "pictures", CAPTIONQ_API_KEYS=keys) as running:
        running.client.headers.update({"Authorization": f"Bearer {KEY}"})
        yield running


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A page in a window of its own, logged in. The test fails if the page reports a fault, such as a refused script."""
    context = browser.new_context(base_url=served.url, viewport={"width": 1280, "height": 800})
    faults: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    log_in(opened)
    yield opened
    context.close()
    assert faults == []


def log_in(page: Page, path: str = "/") -> None:
    """Open a path, and give the key to the form that it leads to."""
    page.goto(path)
    page.get_by_label("API key").fill(KEY)
    page.get_by_label("API key").press("Enter")
    page.wait_for_url(f"**{path}")


def make_run(served: Served, name: str, count: int = 3) -> str:
    """Queue a served folder of pictures; return the run's id."""
    folder = Path(served.captionq.settings.data_dir).parent / "pictures" / name
    save_scenes(folder, count)
    made = served.client.post("/v1/folders", json={"path": str(folder), "preset": "describe"})
    assert made.status_code == 201, made.text
    run_id: str = made.json()["id"]
    return run_id


def wait_for_end(served: Served, run_id: str) -> None:
    """Wait until all jobs of the run have ended."""
    until(lambda: served.client.get(f"/v1/folders/{run_id}").json()["status"] == "ended", "the run's end")


def test_the_page_asks_for_a_key_and_programs_keep_their_answer(served: Served, browser: Browser) -> None:
    """A wrong key is refused with a sentence; the right one leads to the page that was asked for, until the log-out."""
    answer = served.client.get("/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    context = browser.new_context(base_url=served.url)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("API key").fill("wrong-key")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not one of the server's")
    page.get_by_label("API key").fill(KEY)
    page.get_by_label("API key").press("Enter")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    (cookie,) = context.cookies()
    assert cookie["httpOnly"]
    assert (cookie["sameSite"], cookie["expires"]) == ("Strict", -1)
    assert KEY not in cookie["value"]
    page.get_by_role("button", name="Log out").click()
    page.goto("/")
    expect(page.get_by_label("API key")).to_be_visible()
    context.close()


def test_forms_of_other_pages_are_refused_and_the_cookie_opens_no_api(served: Served, page: Page) -> None:
    """To a SameSite cookie, a page at another port of the host is the same site: the origin decides."""
    (cookie,) = page.context.cookies()
    session = {"Cookie": f"{cookie['name']}={cookie['value']}", "Authorization": ""}
    for origin in ({}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "null"}):
        assert served.client.post("/logout", headers={**session, **origin}).status_code == 403
    assert served.client.get("/v1/jobs", headers=session).status_code == 401
    assert served.client.get("/live", headers={"Authorization": ""}).status_code == 401


def test_runs_are_links_in_plain_html_and_new_ones_appear_live(served: Served, page: Page) -> None:
    """A new run comes onto the page while it is open, and its progress goes on to the end; a hostile name stays a text."""
    expect(page.get_by_role("complementary")).to_contain_text("slots")
    run_id = make_run(served, HOSTILE)
    run = page.locator(f'a[href="/runs/{run_id}"]')
    expect(run).to_contain_text("ended", timeout=60_000)
    expect(run).to_contain_text("3 of 3")
    expect(run).to_contain_text(HOSTILE)
    assert page.title() == "Runs · captionq"
    html = served.client.get("/", headers={"Accept": "text/html"})
    assert f'href="/runs/{run_id}"' in html.text
    assert "script-src 'self'" in html.headers["content-security-policy"]
