"""The pictures of a run in a real Chromium: searched, saved, edited in every file, asked about, and compared."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from jobs.captions.outputs.xmp_packet import description_of
from jobs.configuration.settings import Settings
from tests.support.processes import DATA_FOLDER, until
from tests.support.scenes import save_scenes
from tests.support.serving import Served, serving

pytestmark = pytest.mark.timeout(300)

HOSTILE = "<img src=x onerror=document.title='broken'>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file, with one served folder."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "pictures").mkdir()
    settings = Settings(data_dir=folder / DATA_FOLDER)
    settings.make_folders()
    with serving(settings, "--allow-root", folder / "pictures") as running:
        yield running


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A page in a window of its own. The test fails if the page reports a fault, such as a refused script."""
    context = browser.new_context(base_url=served.url, viewport={"width": 1280, "height": 800})
    faults: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: faults.append(str(error)))
    # The browser also reports the answer to a change that is refused.
    refused = re.compile("status of (400|409)")
    opened.on(
        "console",
        lambda said: faults.append(said.text) if said.type == "error" and not refused.search(said.text) else None,
    )
    yield opened
    context.close()
    assert faults == []


def folder_of(served: Served, name: str) -> Path:
    """Return a folder below the served one."""
    return served.captionq.settings.data_dir.parent / "pictures" / name


def run(served: Served, name: str, count: int = 1, **options: object) -> str:
    """Caption a folder of scenes, and return the run's id when it has ended."""
    save_scenes(folder_of(served, name), count)
    return caption(served, name, **options)


def caption(served: Served, name: str, **options: object) -> str:
    """Caption a folder, and return the run's id when it has ended."""
    body = {"path": str(folder_of(served, name)), "preset": "describe", **options}
    made = served.client.post("/v1/folders", json=body)
    assert made.status_code == 201, made.text
    run_id: str = made.json()["id"]
    until(lambda: served.client.get(f"/v1/folders/{run_id}").json()["status"] == "ended", "the run's end")
    return run_id


def open_picture(page: Page, run_id: str) -> None:
    """Open the run's first picture."""
    page.goto(f"/runs/{run_id}")
    page.locator(".card a").first.click()
    page.wait_for_url("**/pictures/**")


def edit(page: Page, text: str) -> None:
    """Edit the caption by the keyboard."""
    page.keyboard.press("e")
    page.keyboard.press("Control+A")
    page.keyboard.type(text)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_label("Caption, edited by you")).to_have_value(text)


def test_an_edit_reaches_every_file_and_its_undo_too(served: Served, page: Page) -> None:
    """Text, JSON file and sidecar hold the person's caption, and a JSON file that others changed keeps the edit out."""
    run_id = run(served, "outputs", output=["txt", "json", "xmp"])
    folder = folder_of(served, "outputs")
    (text,), (record,), (sidecar,) = (list(folder.glob(f"*.{kind}")) for kind in ("txt", "json", "xmp"))
    before = text.read_text()
    open_picture(page, run_id)
    edit(page, f"A ship {HOSTILE}")
    assert text.read_text() == f"A ship {HOSTILE}\n"
    assert json.loads(record.read_text())["caption"] == description_of(sidecar.read_bytes()) == f"A ship {HOSTILE}"
    page.get_by_role("button", name="Undo the edit").click()
    expect(page.get_by_label("Caption", exact=True)).to_have_value(before.rstrip("\n"))
    assert text.read_text() == before
    assert json.loads(record.read_text())["caption"] == description_of(sidecar.read_bytes()) == before.rstrip("\n")
    record.write_text("{}")
    page.get_by_label("Caption", exact=True).fill("Lost?")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("was not written by captionq")).to_be_visible()
    assert text.read_text() == before


def test_a_caption_is_written_from_the_right_where_its_language_is(served: Served, page: Page) -> None:
    """In the gallery as on the picture's page: else the full stop of a Hebrew sentence stands at its beginning."""
    run_id = run(served, "directions")
    open_picture(page, run_id)
    edit(page, "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}\N{HEBREW LETTER VAV}\N{HEBREW LETTER FINAL MEM}.")
    expect(page.locator("#text")).to_have_css("direction", "rtl")
    page.goto(f"/runs/{run_id}")
    expect(page.locator(".card .caption")).to_have_css("direction", "rtl")
    expect(page.locator(".card .name")).to_have_css("direction", "ltr")


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_a_text_with_line_ends_of_another_system_is_edited(served: Served, page: Page, end: str) -> None:
    """An editor on Windows writes CRLF, an old one on a Mac CR; a browser's form knows neither."""
    name = f"ends {len(end)}"
    run_id = run(served, name)
    (text,) = folder_of(served, name).glob("*.txt")
    text.write_bytes(f"One line{end}and another{end}".encode())
    open_picture(page, run_id)
    edit(page, "One line\nand a third")
    assert text.read_bytes() == b"One line\nand a third\n"


def test_the_pictures_that_are_shown_are_searched_and_saved(served: Served, page: Page) -> None:
    """A phrase, a Chinese word and hostile syntax; the files hold the same pictures, and no cell runs as a formula."""
    run_id = run(served, "saved", 3)
    open_picture(page, run_id)
    edit(page, "=HYPERLINK(1) 一只红色的狗 brown dog")
    page.goto(f"/runs/{run_id}")
    search = page.get_by_label("Search captions and names")
    for words, count in (('"brown dog"', 1), ("红色", 1), ('"dog brown"', 0), ('" OR (', 0), ("scene", 3)):
        search.fill(words)
        search.press("Enter")
        expect(page.get_by_text(re.compile(f"^{count} pictures?$"))).to_be_visible()
        search = page.get_by_label("Search captions and names")
    search.fill("红色")
    search.press("Enter")
    expect(page.locator(".card")).to_have_count(1)
    saved = {}
    for name in ("CSV", "JSON lines", "text files"):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        saved[download.value.suggested_filename] = download.value.path().read_bytes()
    assert sorted(saved) == ["captions.csv", "captions.jsonl", "captions.zip"]
    assert saved["captions.csv"].decode().splitlines()[1].split(",")[1] == "'=HYPERLINK(1) 一只红色的狗 brown dog"
    (row,) = map(json.loads, saved["captions.jsonl"].decode().splitlines())
    with ZipFile(io.BytesIO(saved["captions.zip"])) as archive:
        assert archive.testzip() is None
        (name,) = archive.namelist()
        assert archive.read(name).decode() == row["caption"] + "\n"
    assert Path(row["path"]).with_suffix(".txt").name == name


def test_questions_are_answered_beneath_the_picture_and_change_nothing(served: Served, page: Page) -> None:
    """Several in a row, by the keyboard; a question that is markup stays a text; caption and file stay."""
    run_id = run(served, "questions")
    (text,) = folder_of(served, "questions").glob("*.txt")
    before = text.read_text()
    open_picture(page, run_id)
    for number, question in enumerate(("What shapes are there?", f"What colour? {HOSTILE}")):
        page.keyboard.press("q")
        page.keyboard.type(question)
        page.keyboard.press("Control+Enter")
        asked = page.locator(".question").nth(number)
        expect(asked.locator(".asked")).to_have_text(question)
        expect(asked.locator(".waiting")).to_have_count(0, timeout=120_000)
        expect(asked.locator(".growing")).not_to_be_empty()
        answer = asked.locator(".growing").inner_text()
        page.reload()
        expect(page.locator(".question").nth(number).locator(".growing")).to_have_text(answer)
    assert "broken" not in page.title()
    assert text.read_text() == before
    expect(page.get_by_label("Caption", exact=True)).to_have_value(before.rstrip("\n"))
    assert len(served.client.get("/v1/jobs", params={"batch": run_id}).json()["data"]) == 1


def test_what_a_person_writes_stays_when_captions_come(served: Served, page: Page) -> None:
    """The end of a caption changes the picture's page, and the end of a run that run's page: neither is loaded again."""
    save_scenes(folder_of(served, "written"), 2)
    search = page.get_by_label("Search captions and names")
    with served.paused():
        body = {"path": str(folder_of(served, "written")), "preset": "describe"}
        run_id = served.client.post("/v1/folders", json=body).json()["id"]
        page.goto(f"/runs/{run_id}")
        search.fill("half a wo")
        with page.context.expect_page() as opened:
            page.locator(".card a").first.click(modifiers=["ControlOrMeta"])
        picture = opened.value
        question = picture.get_by_label("Question", exact=True)
        question.fill("What is on the le")
    expect(picture.get_by_label("Caption", exact=True)).not_to_be_empty(timeout=120_000)
    expect(question).to_be_focused()
    picture.keyboard.type("ft?")
    expect(question).to_have_value("What is on the left?")
    picture.keyboard.press("Escape")
    edit(picture, "A ship")
    expect(page.get_by_role("button", name="Cancel the rest")).to_have_count(0, timeout=120_000)
    expect(page.locator(".card[data-open]")).to_have_count(0)
    expect(search).to_have_value("half a wo")


def test_two_prompts_are_compared_and_the_better_answer_is_written(served: Served, page: Page) -> None:
    """The first run stays as it is until a picked answer is written to the file, which can be taken back."""
    run_id = run(served, "compared", 3)
    texts = {path: path.read_text() for path in folder_of(served, "compared").glob("*.txt")}
    page.goto(f"/runs/{run_id}")
    page.get_by_role("link", name="Compare with another").click()
    page.get_by_label("Pictures, of 3").fill("2")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Change the prompt or the model")).to_be_visible()
    page.go_back()
    page.get_by_label("Prompt").fill("What shapes are there?")
    page.get_by_label("Pictures, of 3").fill("2")
    page.get_by_role("button", name="Compare").click()
    pair = page.locator(".pair").first
    expect(page.locator(".pair")).to_have_count(2)
    expect(page.locator(".pair[data-open]")).to_have_count(0, timeout=120_000)
    expect(pair.locator(".answer").nth(1)).to_contain_text("token")
    expect(pair.locator("mark").first).to_be_visible()
    assert {path: path.read_text() for path in texts} == texts
    pair.get_by_role("button", name="Second is better").press("Enter")
    expect(pair.get_by_role("button", name="Second is better")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#tally")).to_contain_text(re.compile(r"Second\s*1\s*Equal\s*0\s*Not chosen\s*1"))
    second = pair.locator(".answer").nth(1).locator(".caption-text").inner_text()
    pair.get_by_role("button", name="Write the second").click()
    expect(pair.get_by_text("The second is in the file.")).to_be_visible()
    assert [path.read_text() for path in texts if path.read_text() != texts[path]] == [f"{second}\n"]
    pair.get_by_role("button", name="Undo").click()
    expect(pair.get_by_role("button", name="Write the second")).to_be_visible()
    assert {path: path.read_text() for path in texts} == texts
    page.get_by_role("link", name="compared").click()
    expect(page.get_by_role("link", name="Comparison 1")).to_be_visible()
    assert served.client.get(f"/runs/{run_id}/comparison", headers={"Accept": "text/html"}).status_code == 404


def test_names_and_metadata_that_are_markup_stay_text(served: Served, page: Page) -> None:
    """On the run's page, the picture's and the comparison's; failed pictures say why and what to do."""
    folder = folder_of(served, "hostile")
    folder.mkdir()
    image, exif = Image.effect_noise((64, 48), 90).convert("RGB"), Image.Exif()
    exif[0x0110] = HOSTILE
    image.save(folder / f"{HOSTILE.replace('/', '')}.jpg", exif=exif)
    (folder / "empty.jpg").touch()
    run_id = caption(served, "hostile", prompt="Describe what {camera} saw.", preset=None)
    page.goto(f"/runs/{run_id}")
    expect(page.locator(".card")).to_have_count(2)
    expect(page.locator(".card").filter(has_text="empty.jpg")).to_contain_text("Replace the file by a whole one")
    page.locator(".card").filter(has_text="onerror").locator("a").click()
    page.wait_for_url("**/pictures/**")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{HOSTILE}.jpg")
    page.get_by_text("Ask again").first.click()
    expect(page.get_by_label("Prompt")).to_have_value(re.compile("onerror"))
    page.goto(f"/runs/{run_id}/compare")
    page.get_by_label("Prompt").fill(f"Why {HOSTILE}?")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".pair").filter(has_text="onerror")).to_have_count(1)
    expect(page.locator(".asked-both")).to_contain_text(HOSTILE)
    assert "broken" not in page.title()
