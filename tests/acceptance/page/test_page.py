"""The page of a running `captionq serve` in a real Chromium: logging in, the runs, a run and its pictures."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from jobs.store.store import Store
from jobs.store.tables import Batch, JobStatus
from tests.support.pages import HOSTILE, KEY, log_in, make_run, pictures, queue, wait_for_end
from tests.support.processes import until
from tests.support.rows import RESULT, add_batch, make_job
from tests.support.scenes import save_scenes
from tests.support.serving import Served, endless

pytestmark = pytest.mark.timeout(300)


def open_picture(page: Page) -> None:
    """Open the run's only picture, and wait for its keys."""
    page.locator(".card a").click()
    page.wait_for_url("**/pictures/**")


def test_the_page_asks_for_a_key_and_programs_keep_their_answer(served: Served, browser: Browser) -> None:
    """A wrong key is refused with a sentence; the right one leads to the page that was asked for, until the log-out."""
    answer = served.client.get("/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.text[:20]) == (200, "captionq is running.")
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
    log_in(page, "/start?folder=a%20folder%20%26%20more")
    expect(page.get_by_role("radio", name="Served folder")).to_be_checked()
    with context.expect_page() as opened:
        page.get_by_role("link", name="Runs").click(modifiers=["ControlOrMeta"])
    opened.value.get_by_role("button", name="Log out").click()
    opened.value.wait_for_url("**/login")
    page.get_by_role("button", name="Caption all").click()
    page.get_by_label("API key").fill(KEY)
    page.get_by_label("API key").press("Enter")
    expect(page.get_by_role("heading", name="New run")).to_be_visible()
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
    page.goto("/")
    expect(page.get_by_role("complementary")).to_contain_text("slots")
    run_id = make_run(served, HOSTILE)
    run = page.locator(f'a[href="/runs/{run_id}"]')
    expect(run).to_contain_text("ended", timeout=120_000)
    expect(run).to_contain_text("3 of 3")
    expect(run).to_contain_text(HOSTILE)
    assert page.title() == "Runs · captionq"
    html = served.client.get("/", headers={"Accept": "text/html"})
    assert f'href="/runs/{run_id}"' in html.text
    assert "script-src 'self'" in html.headers["content-security-policy"]


def test_the_first_pictures_of_a_run_are_in_the_html_and_failures_say_why(served: Served, page: Page) -> None:
    """Filters and search choose; a hostile name stays a text; the retry of a repaired file is a run of its own."""
    folder = pictures(served) / "mixed"
    captions = save_scenes(folder, 4)
    (folder / f"{HOSTILE.replace('/', '')}.jpg").write_bytes(b"this is no picture")
    run_id = queue(served, folder)
    wait_for_end(served, run_id)
    html = served.client.get(f"/runs/{run_id}", headers={"Accept": "text/html"}).text
    assert html.count("/small") == 5
    page.goto(f"/runs/{run_id}")
    expect(page.locator(".card")).to_have_count(5)
    sizes = "images => images.every(image => image.complete && image.naturalWidth > 0)"
    until(lambda: page.locator(".card img").evaluate_all(sizes), "the thumbnails")
    expect(page.get_by_text(next(iter(captions.values())), exact=True).first).to_be_visible()
    page.get_by_role("link", name="Failed", exact=True).click()
    card = page.locator(".card")
    expect(card).to_have_count(1)
    expect(card).to_contain_text(HOSTILE)
    expect(card).to_contain_text("is not a supported image")
    assert "broken" not in page.title()
    page.goto(f"/runs/{run_id}")
    page.get_by_label("Search captions and names").fill("onerror title")
    page.get_by_label("Search captions and names").press("Enter")
    expect(page.locator(".card")).to_have_count(1)
    save_scenes(folder / "good", 1)
    next((folder / "good").iterdir()).replace(next(folder.glob("*onerror*")))
    page.goto(f"/runs/{run_id}")
    page.get_by_role("button", name="Retry 1").click()
    expect(page.locator(".card")).to_contain_text(HOSTILE)
    expect(page.locator("#state")).to_contain_text("1 of 1", timeout=120_000)
    assert not page.url.endswith(run_id)


def test_a_running_run_is_followed_and_cancelled_and_works_without_scripts(
    served: Served, page: Page, browser: Browser
) -> None:
    """Pictures that wait show it, the button cancels them, and all of it works without a script."""
    with served.paused():
        run_id = make_run(served, "cancelled", 4)
        context = browser.new_context(base_url=served.url, java_script_enabled=False)
        plain = context.new_page()
        log_in(plain, f"/runs/{run_id}")
        expect(plain.locator(".card")).to_have_count(4)
        page.goto(f"/runs/{run_id}")
        expect(page.locator(".card").first).to_contain_text("Waiting")
        plain.get_by_role("button", name="Cancel the rest").click()
        expect(plain.locator(".card").first).to_contain_text("Cancelled")
        # The other window learns it by itself.
        expect(page.get_by_role("button", name="Retry 4")).to_be_visible(timeout=30_000)
        expect(page.locator(".card").first).to_contain_text("Cancelled")
        context.close()


def test_a_caption_is_edited_in_its_file_taken_back_and_asked_for_again(served: Served, page: Page) -> None:
    """Store and file stay in step; an edit of a text that changed meanwhile is refused; markup in a caption stays a text."""
    run_id = make_run(served, "edited", 1)
    wait_for_end(served, run_id)
    (text,) = (pictures(served) / "edited").glob("*.txt")
    before = text.read_text()
    page.goto(f"/runs/{run_id}")
    open_picture(page)
    page.keyboard.press("e")
    page.keyboard.press("Control+A")
    page.keyboard.type(f"A dog. {HOSTILE}\nOn two lines.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_label("Caption, edited by you")).to_have_value(f"A dog. {HOSTILE}\nOn two lines.")
    assert text.read_text() == f"A dog. {HOSTILE}\nOn two lines.\n"
    assert "broken" not in page.title()
    page.keyboard.press("Escape")
    page.wait_for_url(f"**/runs/{run_id}?")
    expect(page.locator(".card")).to_contain_text(HOSTILE)
    open_picture(page)
    page.get_by_role("button", name="Undo the edit").click()
    expect(page.get_by_label("Caption", exact=True)).to_have_value(before.rstrip("\n"))
    assert text.read_text() == before
    text.write_text("Written elsewhere.\n")
    page.get_by_label("Caption", exact=True).fill("Lost?")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("was changed meanwhile")).to_be_visible()
    assert text.read_text() == "Written elsewhere.\n"
    text.write_text(before)
    page.goto(f"/runs/{run_id}")
    open_picture(page)
    page.keyboard.press("a")
    page.get_by_label("Prompt").fill("What shapes are there?")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda address: run_id not in address)
    expect(page.get_by_label("Caption", exact=True)).to_be_visible(timeout=120_000)
    assert served.client.get(f"/v1/jobs/{page.url.rpartition('/')[2].split('?')[0]}").json()["status"] == "succeeded"


def test_the_review_goes_on_by_the_keyboard(served: Served, page: Page) -> None:
    """Keeping an answer that was cut off leads to the next; at the end no picture needs a review."""
    folder = pictures(served) / "cut"
    save_scenes(folder, 2)
    run_id = queue(served, folder, max_tokens=2, quality_retries=0)
    wait_for_end(served, run_id)
    page.goto(f"/runs/{run_id}?show=review")
    expect(page.locator(".card")).to_have_count(2)
    page.locator(".card a").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url("**/pictures/**")
    expect(page.get_by_text("was cut off")).to_be_visible()
    expect(page.get_by_text("1 of 2")).to_be_visible()
    first = page.url
    page.keyboard.press("k")
    page.wait_for_url(lambda address: address != first)
    expect(page.get_by_text("was cut off")).to_be_visible()
    page.keyboard.press("k")
    expect(page.get_by_text("No picture matches.")).to_be_visible()
    kept = served.client.get("/v1/jobs", params={"batch": run_id, "needs_review": True}).json()
    assert kept["data"] == []


def test_a_choice_after_the_end_of_the_session_asks_for_a_login(served: Served, browser: Browser) -> None:
    """The page of a comparison says so, and has the pair again after the login."""
    run_id = make_run(served, "ended session", 1)
    wait_for_end(served, run_id)
    with browser.new_context(base_url=served.url) as context:
        page = context.new_page()
        log_in(page, f"/runs/{run_id}/compare")
        page.get_by_label("Prompt").fill("What shapes are there?")
        page.get_by_role("button", name="Compare").click()
        expect(page.locator(".pair[data-open]")).to_have_count(0, timeout=120_000)
        context.clear_cookies()
        page.get_by_role("button", name="First is better").click()
        expect(page.locator("#notice")).to_contain_text("Your session has ended. Reload this page to log in again.")
        page.reload()
        page.get_by_label("API key").fill(KEY)
        page.get_by_label("API key").press("Enter")
        expect(page.get_by_role("button", name="First is better")).to_be_visible()


def test_no_run_of_another_id_shows_a_picture(served: Served, page: Page) -> None:
    """Neither the path of a file nor the picture of another run can be asked for, and unknown runs are told in a page."""
    one, two = make_run(served, "one", 1), make_run(served, "two", 1)
    (job,) = served.client.get("/v1/jobs", params={"batch": one}).json()["data"]
    assert served.client.get(f"/runs/{one}/pictures/{job['id']}/small").headers["content-type"] == "image/jpeg"
    assert served.client.get(f"/runs/{two}/pictures/{job['id']}/small").status_code == 404
    unknown = served.client.get("/runs/batch_none", headers={"Accept": "text/html"})
    assert unknown.status_code == 404
    assert "Run 'batch_none' not found" in unknown.text.replace("&#39;", "'")


def test_a_picture_outside_of_the_served_folders_is_shown_with_its_caption(served: Served, page: Page) -> None:
    """A run of the command line in the same data folder: its captions are in the gallery, and none can be edited."""
    store = Store(served.captionq.settings)
    batch = Batch(description="outside", model="demo")
    job = make_job("outside", batch)
    job.status, job.text = JobStatus.SUCCEEDED, RESULT.text
    store.add_batch(batch)
    store.add([job])
    store.close()
    page.goto(f"/runs/{batch.id}")
    open_picture(page)
    expect(page.locator(".caption-text").first).to_have_text(RESULT.text)
    expect(page.locator(".problem")).to_contain_text("not below a served folder")
    expect(page.get_by_role("button", name="Save")).to_have_count(0)


def test_captions_are_shown_as_they_are_being_written(served: Served, page: Page) -> None:
    """The worker publishes the texts so far while a run's page is open, and the card shows them before the job ends."""
    made = served.client.post("/v1/jobs", json=[endless() for _ in range(6)]).json()["data"]
    page.goto(f"/runs/{made[0]['batch']}")
    caption = page.locator(f'[data-id="{made[0]["id"]}"] .caption')
    expect(caption).not_to_have_text(re.compile("Waiting|Being captioned"), timeout=120_000)
    grown = caption.inner_text()
    assert served.client.get(f"/v1/jobs/{made[0]['id']}").json()["status"] == "running"
    expect(caption).not_to_have_text(grown, timeout=120_000)
    for job in made:
        # They may have ended by now.
        served.client.delete(f"/v1/jobs/{job['id']}")


def test_a_long_run_keeps_few_cards_and_reaches_its_end(served: Served, page: Page) -> None:
    """However many pictures a run has, the page holds those in sight: cards and their memory do not grow.

    The way back from a picture leads to its place.
    """
    store = Store(served.captionq.settings)
    batch, _ = add_batch(store, 3000, status=JobStatus.CANCELLED)
    store.close()
    page.goto(f"/runs/{batch.id}")
    counts = []
    for _ in range(10):
        page.mouse.wheel(0, 20_000)
        counts.append(page.locator(".card").count())
    page.keyboard.press("End")
    expect(page.get_by_text("999.jpg", exact=True)).to_be_visible()
    assert max(counts) < 120
    expect(page.get_by_role("button", name="Retry 3\N{NARROW NO-BREAK SPACE}000")).to_be_visible()
    page.get_by_text("999.jpg", exact=True).click()
    page.wait_for_url("**/pictures/**")
    page.get_by_role("link", name="pictures", exact=True).click()
    page.wait_for_url(f"**/runs/{batch.id}?")
    expect(page.get_by_text("999.jpg", exact=True)).to_be_in_viewport()
