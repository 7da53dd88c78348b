"""A new run on the page, in a real Chromium: uploads, served folders, the sample, and the run that follows."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from jobs.configuration.settings import Settings
from tests.support.processes import DATA_FOLDER, until
from tests.support.scenes import draw_many, save_scenes
from tests.support.serving import Served, serving

pytestmark = pytest.mark.timeout(300)

KEY = "the-key-of-the-tests"
#: A name that would run a script, if the page took names for markup, and that a careless address would cut off.
HOSTILE = "<img src=x onerror=document.title='broken'> #1 & 100%?"
#: Limits of the server: pictures of an upload, and jobs that wait in the bulk lane.
MOST_FILES, MOST_WAITING = 30, 40


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server with low limits for all tests of this file, with a key and one served folder."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "pictures").mkdir()
    settings = Settings(data_dir=folder / DATA_FOLDER)
    settings.make_folders()
    with serving(
        settings,
        "--allow-root",
        folder / "pictures",
        CAPTIONQ_API_KEYS=json.dumps({"tests": KEY}),
        CAPTIONQ_MAX_UPLOAD_FILES=str(MOST_FILES),
        CAPTIONQ_MAX_WAITING_BULK=str(MOST_WAITING),
    ) as running:
        running.client.headers.update({"Authorization": f"Bearer {KEY}"})
        yield running


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """The page of a new run, logged in. The test fails if the page reports a fault, such as a refused script."""
    context = browser.new_context(base_url=served.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    faults: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    log_in(opened)
    yield opened
    context.close()
    # The browser also reports answers that refuse something, and its lost connection.
    assert [fault for fault in faults if not re.search("status of 4|ERR_INTERNET", fault)] == []


def log_in(page: Page, path: str = "/start") -> None:
    """Open a path, and give the key to the form that it leads to."""
    page.goto(path)
    page.get_by_label("API key").fill(KEY)
    page.get_by_label("API key").press("Enter")
    page.wait_for_url("**/start*")


def pictures(served: Served) -> Path:
    """Return the served folder."""
    return served.captionq.settings.data_dir.parent / "pictures"


def begin(page: Page) -> str:
    """Press the button of the run; return its id."""
    page.locator("#go").click()
    page.wait_for_url("**/runs/*")
    return page.url.rpartition("/")[2]


def ended(served: Served, run_id: str) -> list[dict[str, object]]:
    """Wait for the end of a run; return its jobs by the names of their pictures."""
    until(lambda: served.client.get(f"/v1/folders/{run_id}").json()["status"] == "ended", "the run's end")
    jobs = served.client.get("/v1/jobs", params={"batch": run_id, "limit": 100}).json()["data"]
    return sorted(jobs, key=lambda job: str(job["source"]))


def choose_folder(page: Page, *names: str) -> None:
    """Open a served folder by its links."""
    page.goto("/start")
    page.get_by_text("Served folder", exact=True).click()
    for name in names:
        page.locator(".folders").get_by_text(name, exact=True).click()
        expect(page.locator(".crumbs b")).to_have_text(name)


def drop(page: Page, path: Path) -> None:
    """Drop a file or a folder of this machine onto the page, as a hand would."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 700, "y": 500, "data": data})


def sampled(page: Page) -> list[str]:
    """Take a sample; return its captions."""
    page.locator("#try").click()
    expect(page.locator(".estimate")).to_be_visible(timeout=120_000)
    return page.locator(".sample .caption").all_inner_texts()


def test_chosen_files_are_sampled_and_captioned_and_the_sample_is_not_asked_again(
    served: Served, page: Page, tmp_path: Path
) -> None:
    """Files of a wrong kind are refused by their names; the captions are right, and the run's first answers are the sample's."""
    captions = {path.name: caption for path, caption in save_scenes(tmp_path, 5).items()}
    hostile = HOSTILE.replace("/", "") + ".png"
    (tmp_path / "scene-004.png").rename(tmp_path / hostile)
    captions[hostile] = captions.pop("scene-004.png")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "fake.jpg").write_text("this is no picture")
    page.set_input_files("#files", sorted(tmp_path.iterdir()))
    expect(page.locator("#upload-facts")).to_contain_text("5 pictures")
    refused = page.locator("#refused li")
    expect(refused).to_have_count(2)
    expect(page.locator("#refused")).to_contain_text("notes.txt is no picture that captionq reads, and no zip.")
    expect(page.locator("#refused")).to_contain_text("fake.jpg is not a supported image")
    names = sorted(captions)
    assert sampled(page) == [captions[names[number]] for number in (0, 1, 3)]
    expect(page.locator(".estimate")).to_contain_text("All 5 pictures take about")
    expect(page.locator(".estimate")).to_contain_text("Measured:")
    page.wait_for_function("() => [...document.querySelectorAll('.sample img')].every(one => one.naturalWidth > 0)")
    expect(page.locator("#go")).to_have_text("Caption all 5")
    run_id = begin(page)
    jobs = ended(served, run_id)
    assert {job["source"]: job["result"]["choices"][0]["message"]["content"] for job in jobs} == captions  # type: ignore[index]
    # Other tests may have asked about the same scenes before.
    assert [jobs[number]["cached"] for number in (0, 1, 3)] == [True] * 3
    page.goto("/")
    expect(page.locator(f'a[href="/runs/{run_id}"]')).to_be_visible()
    assert page.get_by_text("sample", exact=True).count() == 0
    assert page.title() != "broken"
    table = page.context.request.get(f"/runs/{run_id}/export?form=csv")
    assert "captions.csv" in table.headers["content-disposition"]
    assert all(caption in table.text() for caption in captions.values())


def test_a_dropped_folder_is_uploaded_a_few_files_at_a_time_with_its_names(
    served: Served, page: Page, tmp_path: Path
) -> None:
    """Nested names are the labels, other and hidden files are left out, and never more than four requests are open."""
    for number, drawn in enumerate(draw_many(16)):
        path = tmp_path / "trip" / f"day {number % 3}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.image.resize((32, 32)).save(path)
    (tmp_path / "trip" / ".hidden.png").write_bytes(b"hidden")
    (tmp_path / "trip" / "notes.txt").write_text("notes")
    open_now, most = set[object](), 0

    def sent(request: object) -> None:
        nonlocal most
        open_now.add(request)
        most = max(most, len(open_now))

    page.on("request", sent)
    page.on("requestfinished", lambda request: open_now.discard(request))
    drop(page, tmp_path / "trip")
    expect(page.locator("#upload-facts")).to_contain_text("16 pictures")
    expect(page.locator("#upload-facts")).to_contain_text("2 other files left out")
    assert 1 < most <= 4
    page.get_by_label("Most words").fill("3")
    run_id = begin(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("trip")
    jobs = served.client.get("/v1/jobs", params={"batch": run_id, "limit": 100}).json()["data"]
    assert {job["source"] for job in jobs} == {f"trip/day {number % 3}/{number:02}.png" for number in range(16)}
    served.client.delete(f"/v1/folders/{run_id}")


def test_a_zip_is_unpacked_and_limits_are_sentences(served: Served, page: Page, tmp_path: Path) -> None:
    """A zip counts by its pictures; the file beyond the limit is refused with the setting's name, and what came before stays."""
    save_scenes(tmp_path / "some", 3)
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        for path in sorted((tmp_path / "some").iterdir()):
            archive.write(path, f"album/{path.name}")
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(MOST_FILES):
            archive.write(tmp_path / "some" / "scene-000.png", f"{number}.png")
    page.set_input_files("#files", tmp_path / "some.zip")
    expect(page.locator("#upload-facts")).to_contain_text("3 pictures")
    page.set_input_files("#files", tmp_path / "many.zip")
    expect(page.locator("#refused")).to_contain_text("CAPTIONQ_MAX_UPLOAD_FILES")
    expect(page.locator("#upload-facts")).to_contain_text("3 pictures")
    jobs = ended(served, begin(page))
    assert [job["source"] for job in jobs] == [f"album/scene-{number:03}.png" for number in range(3)]


def test_a_cancelled_upload_starts_nothing_and_keeps_what_was_typed(page: Page, tmp_path: Path) -> None:
    """Cancelling ends the requests that are under way; without pictures the run is refused with a sentence."""
    save_scenes(tmp_path, 3)
    page.get_by_label("Prompt", exact=True).fill("What is this?")
    page.route(re.compile(r"/start/uploads/\w+/\d"), lambda _route: None)
    page.set_input_files("#files", sorted(tmp_path.iterdir()))
    expect(page.locator("#upload-facts")).to_contain_text("0 of 3 files")
    expect(page.locator("#go")).to_be_disabled()
    page.get_by_role("button", name="Cancel the upload").click()
    expect(page.locator("#upload")).to_be_hidden()
    page.locator("#go").click()
    expect(page.get_by_role("alert").first).to_contain_text("There are no pictures yet.")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("What is this?")


def test_a_broken_connection_is_told_and_the_upload_goes_on_by_itself(page: Page, tmp_path: Path) -> None:
    """A file that was not answered is sent again, and counts once."""
    save_scenes(tmp_path, 2)
    page.context.set_offline(True)
    page.set_input_files("#files", sorted(tmp_path.iterdir()))
    expect(page.locator("#notice")).to_contain_text("The connection to captionq is lost.")
    page.context.set_offline(False)
    expect(page.locator("#upload-facts")).to_contain_text("2 pictures")
    expect(page.locator("#notice")).to_be_hidden()


def test_a_served_folder_is_sampled_without_a_file_and_captioned_in_place(served: Served, page: Page) -> None:
    """Hostile names open; the sample shows texts as the run writes them, and writes none; the run asks the rest."""
    folder = pictures(served) / "served" / HOSTILE
    captions = save_scenes(folder, 4)
    (folder / "scene-000.txt").write_text("Mine.\n")
    choose_folder(page, "served", HOSTILE)
    expect(page.locator("#folders")).to_contain_text("4 pictures in this folder")
    page.get_by_text("More options").click()
    page.get_by_label("Prefix").fill("photo: ")
    # No other test has asked this.
    page.get_by_label("Max tokens").fill("200")
    wanted = sorted(captions)[1:]
    assert sampled(page) == [f"photo: {captions[path]}" for path in wanted]
    expect(page.locator(".estimate")).to_contain_text("All 3 pictures")
    assert sorted(path.name for path in folder.glob("*.txt")) == ["scene-000.txt"]
    jobs = ended(served, begin(page))
    assert [job["cached"] for job in jobs] == [True] * 3
    assert [path.with_suffix(".txt").read_text() for path in wanted] == [
        f"photo: {captions[path]}\n" for path in wanted
    ]
    assert (folder / "scene-000.txt").read_text() == "Mine.\n"
    assert page.title() != "broken"
    page.go_back()
    expect(page.locator("#go")).to_be_enabled()
    page.goto(f"/start?folder={quote(str(folder))}")
    page.locator("#go").click()
    expect(page.get_by_role("alert").first).to_contain_text("All 4 pictures of this folder have texts already")


def test_options_and_limits_that_are_wrong_are_told_beside_what_was_typed(served: Served, page: Page) -> None:
    """A refused option is named and marked, in an open part of the form; the sample says the same."""
    save_scenes(pictures(served) / "limits" / "one", 1)
    for number in range(MOST_WAITING):
        (pictures(served) / "limits" / f"{number}.png").symlink_to("one/scene-000.png")
    choose_folder(page, "limits")
    page.get_by_text("More options").click()
    page.get_by_label("Top p").fill("7")
    page.locator("#try").click()
    expect(page.locator("#sample-problem")).to_have_text("Top p: Must be 1 or less.")
    page.locator("#go").click()
    expect(page.get_by_role("alert").first).to_have_text("Top p: Must be 1 or less.")
    top_p = page.get_by_label("Top p")
    expect(top_p).to_have_attribute("aria-invalid", "true")
    expect(top_p).to_have_value("7")
    top_p.fill("1")
    page.get_by_label("Language").fill("xx")
    page.locator("#go").click()
    expect(page.get_by_role("alert").first).to_contain_text("'xx' is not a known code of a language")
    page.get_by_label("Language").fill("")
    page.locator("#go").click()
    expect(page.get_by_role("alert").first).to_contain_text(
        f"{MOST_WAITING + 1} jobs are more than the bulk lane ever holds"
    )
    expect(page.locator(".crumbs b")).to_have_text("limits")
    (pictures(served) / "limits" / "0.png").unlink()
    with served.paused():
        run_id = begin(page)
        choose_folder(page, "limits", "one")
        page.get_by_label("Most words").fill("7")
        page.locator("#go").click()
        expect(page.get_by_role("alert").first).to_contain_text("The bulk lane is full")
        expect(page.get_by_label("Most words")).to_have_value("7")
        served.client.delete(f"/v1/folders/{run_id}")


def test_the_keyboard_alone_begins_a_run(served: Served, page: Page) -> None:
    """Tabs, folders, the sample and the run are reached and pressed by keys."""
    save_scenes(pictures(served) / "keys" / "inner", 3)
    page.goto("/start")
    page.get_by_role("radio", name="Upload").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    for name in ("keys", "inner"):
        for _ in range(20):
            if page.evaluate("document.activeElement.querySelector('.name')?.textContent") == name:
                break
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator(".crumbs b")).to_have_text(name)
        expect(page.locator(".crumbs b")).to_be_focused()
    for button in ("try", "go"):
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == button:
                break
        page.keyboard.press("Enter")
        if button == "try":
            expect(page.locator(".estimate")).to_be_visible(timeout=120_000)
    page.wait_for_url("**/runs/*")
    assert all(job["cached"] for job in ended(served, page.url.rpartition("/")[2]))


def test_a_form_that_is_sent_twice_makes_one_run(served: Served) -> None:
    """A double click, a reload and a repeated click find the first run; other choices make another run."""
    save_scenes(pictures(served) / "twice", 2)
    form = new_form(served) | {
        "source": "folder",
        "folder": quote(str(pictures(served) / "twice")),
        "existing": "replace",
    }
    first, second = start(served, form), start(served, form)
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["location"] == second.headers["location"]
    run_id = first.headers["location"].rpartition("/")[2]
    ended(served, run_id)
    for complete in (0, 1):
        # The first click's run is still being queued.
        with closing(sqlite3.connect(served.captionq.settings.data_dir / "captionq.db")) as database, database:
            database.execute("UPDATE batch SET complete = ? WHERE id = ?", (complete, run_id))
        assert start(served, form).headers["location"] == first.headers["location"]
    other = start(served, form | {"prompt": "What is this?"})
    assert (other.status_code, other.headers["location"] != first.headers["location"]) == (303, True)


def test_only_served_folders_can_be_seen_or_started(served: Served, tmp_path: Path) -> None:
    """Links that lead out are not listed, and a path elsewhere is refused, whether it exists or not."""
    outside = tmp_path / "outside"
    save_scenes(outside, 1)
    root = pictures(served) / "rooms"
    (root / "inside").mkdir(parents=True)
    (root / "way-out").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    (root / "Old.photoslibrary").mkdir()
    html = served.client.get("/start/folders", params={"folder": str(root)}).text
    assert re.findall(r'class="name">([^<]*)', html) == ["inside"]
    for path in (outside, root / "way-out", root / "..", tmp_path / "missing", Path("/etc\0")):
        form = new_form(served) | {"source": "folder", "folder": quote(str(path))}
        answer = start(served, form)
        seen = served.client.get("/start", params={"folder": str(path)}, headers={"Accept": "text/html"})
        if path.name == "..":
            # The served folder itself, which is allowed: links and dots are resolved first.
            assert answer.status_code in (303, 400)
            continue
        assert answer.status_code == 403
        assert "This path is not below a served folder" in answer.text
        assert "This path is not below a served folder" in seen.text
        assert "scene-000" not in seen.text
    if os.geteuid() != 0:
        (root / "inside").chmod(0)
        assert "cannot be read" in served.client.get("/start/folders", params={"folder": str(root / "inside")}).text


def test_without_scripts_a_served_folder_is_captioned(served: Served, browser: Browser) -> None:
    """Links open folders, and the form leads to the run."""
    save_scenes(pictures(served) / "plain", 1)
    context = browser.new_context(base_url=served.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page)
    expect(page.get_by_text("Uploading needs scripts")).to_be_visible()
    page.get_by_text("Served folder", exact=True).click()
    page.locator(".folders").get_by_text("plain", exact=True).click()
    run_id = begin(page)
    context.close()
    assert [job["status"] for job in ended(served, run_id)] == ["succeeded"]


def test_forms_of_other_pages_are_refused_and_a_repeated_upload_counts_once(served: Served, page: Page) -> None:
    """To a SameSite cookie, a page at another port of the host is the same site: the origin decides."""
    (cookie,) = page.context.cookies()
    session = {"Cookie": f"{cookie['name']}={cookie['value']}", "Authorization": "", "Origin": "http://127.0.0.1:1"}
    for path in ("/start", "/start/sample", f"/start/uploads/{'0' * 32}/1?name=a.png"):
        assert served.client.post(path, headers=session, content=b"").status_code == 403
    image = Image.new("RGB", (8, 8))
    image.save(pictures(served).parent / "tiny.png")
    content = (pictures(served).parent / "tiny.png").read_bytes()
    tray = f"/start/uploads/{'1' * 32}"
    for number, again in ((1, False), (1, True), (2, False)):
        answer = served.client.post(f"{tray}/{number}", params={"name": "../a.png", "again": again}, content=content)
    assert answer.json()["pictures"] == 2
    form = new_form(served) | {"source": "upload", "tray": "1" * 32}
    made = start(served, form)
    jobs = ended(served, made.headers["location"].rpartition("/")[2])
    assert [job["source"] for job in jobs] == ["a (2).png", "a.png"]


def new_form(served: Served) -> dict[str, str]:
    """Return the fields of a fresh form that no person has filled in."""
    html = served.client.get("/start", headers={"Accept": "text/html"}).text
    hidden = dict(re.findall(r'<input type="hidden" name="(tray|token)" value="(\w+)">', html))
    return {**hidden, "recursive": "yes", "output": "txt", "cache": "yes", "existing": "skip"}


def start(served: Served, form: dict[str, str]) -> httpx2.Response:
    """Send a form."""
    return served.client.post("/start", data=form, headers={"Accept": "text/html"}, follow_redirects=False)
