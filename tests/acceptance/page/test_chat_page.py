"""The chat of a running `captionq serve` in a real Chromium, and its requests as code that is run."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from jobs.configuration.settings import Settings
from jobs.models.model_info import built_in_models
from tests.support.processes import DATA_FOLDER, PATIENCE, until
from tests.support.scenes import save_scenes
from tests.support.serving import Served, endless, serving

pytestmark = pytest.mark.timeout(400)

KEY = "the-key-of-the-tests"
#: A name of a file and a text that would run a script, if the page took them for markup.
HOSTILE = "<img src=x onerror=document.title='broken'>"
#: Milliseconds in which an answer comes, also if its model has to be loaded first.
ANSWERED = PATIENCE * 1000


def make_thinking_model(folder: Path) -> Path:
    """Write a model whose chat template has a switch for thinking, and whose count to ten has a thought from one to five."""
    model = folder / "thinker"
    shutil.copytree(built_in_models()["demo-text"], model)
    template = model / "chat_template.jinja"
    template.write_text(template.read_text() + "{% if enable_thinking %}{# <think> #}{% endif %}")
    words = model / "tokenizer.json"
    tokenizer = json.loads(words.read_text())
    marks = (("one", "<think>"), ("five", "</think>"))
    replaced = [{"type": "Replace", "pattern": {"String": word}, "content": mark} for word, mark in marks]
    tokenizer["decoder"] = {"type": "Sequence", "decoders": [tokenizer["decoder"], *replaced]}
    words.write_text(json.dumps(tokenizer))
    return model


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server with a key and a model that thinks, for all tests of this file but the one that stops its server."""
    folder = tmp_path_factory.mktemp("chat")
    settings = Settings(data_dir=folder / DATA_FOLDER)
    settings.make_folders()
    models = json.dumps([str(make_thinking_model(folder))])
    with serving(settings, CAPTIONQ_API_KEYS=json.dumps({"tests": KEY}), CAPTIONQ_PINNED_MODELS=models) as running:
        running.client.headers.update({"Authorization": f"Bearer {KEY}"})
        yield running


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """The chat in a window of its own, logged in. The test fails if the page reports a fault, such as a refused script."""
    context = browser.new_context(base_url=served.url, viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    faults = watch(opened)
    opened.goto("/chat")
    opened.get_by_label("API key").fill(KEY)
    opened.get_by_label("API key").press("Enter")
    expect(question_of(opened)).to_be_focused()
    yield opened
    context.close()
    assert faults == []


def watch(page: Page) -> list[str]:
    """Collect the faults that a page reports. Answers with an error, and a server that is away, are none."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda said: (
            faults.append(said.text)
            if said.type == "error" and not re.search(r"status of 4\d\d|net::ERR", said.text)
            else None
        ),
    )
    return faults


def question_of(page: Page) -> Locator:
    """Return the field for the question."""
    return page.get_by_role("textbox", name="Question", exact=True)


def ask(page: Page, words: str) -> None:
    """Write a question, and send it by the keyboard."""
    question_of(page).fill(words)
    question_of(page).press("Enter")


def wait_for_answer(page: Page) -> str:
    """Wait for the end of the last answer, and return its text."""
    expect(page.locator(".turn").last.locator(".facts")).to_contain_text("tokens read", timeout=ANSWERED)
    return page.locator(".answer").last.inner_text()


def choose(page: Page, *files: Path) -> None:
    """Add pictures by the dialog for files."""
    before = page.locator(".composer .preview").count()
    page.locator("#files").set_input_files(files)
    expect(page.locator(".composer .preview")).to_have_count(before + len(files))


def give(page: Page, *given: tuple[str, Path, str], enter: bool = False) -> None:
    """Drop or paste pictures at the same moment, as a browser does it: the name of the event, the file, and its name there.

    `enter`: press Enter in the same moment.
    """
    page.evaluate(
        """([given, enter]) => {
          for (const [kind, data, name] of given) {
            const files = new DataTransfer();
            const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
            files.items.add(new File([bytes], name, { type: "image/png" }));
            const init = { bubbles: true, cancelable: true };
            const event = kind === "paste"
              ? new ClipboardEvent(kind, { ...init, clipboardData: files })
              : new DragEvent(kind, { ...init, dataTransfer: files });
            document.getElementById("question").dispatchEvent(event);
          }
          if (!enter) return;
          const key = new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true });
          document.getElementById("question").dispatchEvent(key);
        }""",
        [[[kind, base64.b64encode(file.read_bytes()).decode(), name] for kind, file, name in given], enter],
    )


def run_code(page: Page, folder: Path) -> tuple[str, str]:
    """Open the code of the last answer, and run what its buttons copy; return the answers to curl and to Python."""
    turn = page.locator(".turn").last
    turn.get_by_role("button", name="As code").click()
    copied = []
    for number in range(2):
        button = turn.locator(".code").get_by_role("button").nth(number)
        button.click()
        expect(button).to_have_text("Copied")
        copied.append(page.evaluate("navigator.clipboard.readText()"))
    assert not any(KEY in code for code in copied)
    environment = {**os.environ, "CAPTIONQ_API_KEY": KEY}
    curl, python = (
        subprocess.run(
            command,
            input=code,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        ).stdout
        for command, code in zip((["sh"], [sys.executable, "-"]), copied, strict=True)
    )
    return json.loads(curl)["choices"][0]["message"]["content"], python.rstrip("\n")


def test_a_conversation_about_pictures_and_the_same_request_as_code(page: Page, tmp_path: Path) -> None:
    """Pictures are chosen, dropped, pasted and removed; the copied curl and Python get the answer that the page shows."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    captions = save_scenes(tmp_path, 3)
    first, second, third = captions
    choose(page, first, third)
    page.get_by_role("button", name=f"Remove {first.name}").click()
    expect(page.locator(".composer .preview")).to_have_count(1)
    expect(question_of(page)).to_be_focused()
    ask(page, "Describe this image.")
    assert wait_for_answer(page) == captions[third]
    assert run_code(page, tmp_path) == (captions[third], captions[third])
    expect(page.locator(".facts")).to_have_text(re.compile(r"^\d+ tokens read, \d+ written · \d+\.\d s"))
    expect(page.locator("#spoken")).to_have_text(f"Answer: {captions[third]}")
    expect(page.locator(".turn [aria-live], .turn [role=status]")).to_have_count(0)
    name = "it's $(hostile) \N{SNOWMAN}.png"
    shutil.copy(second, tmp_path / name)
    give(page, ("drop", second, name), ("paste", first, "image.png"))
    shutil.copy(first, tmp_path / "image.png")
    expect(page.locator(".composer .preview")).to_have_count(2)
    ask(page, "Are they the same?\nSay 'yes' or \"no\", $HOME \\n.")
    answer = wait_for_answer(page)
    assert page.locator(".turn").count() == 2
    assert run_code(page, tmp_path) == (answer, answer)
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_many_pictures_leave_the_question_in_sight(page: Page, tmp_path: Path) -> None:
    """Beneath a conversation, on a phone. The keyboard reaches the last of the pictures."""
    ask(page, "Hello")
    wait_for_answer(page)
    page.set_viewport_size({"width": 360, "height": 640})
    choose(page, *save_scenes(tmp_path, 12))
    expect(question_of(page)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    last = page.locator(".composer .remove").last
    last.focus()
    expect(last).to_be_in_viewport(ratio=1)
    assert Axe().run(page).violations_count == 0


def test_thoughts_are_folded_and_only_a_model_with_a_switch_has_one(page: Page, tmp_path: Path) -> None:
    """The switch is part of the request and of its code."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".settings summary").click()
    expect(page.get_by_label("Think before the answer")).to_be_hidden()
    page.get_by_label("Model").select_option(label="thinker (text only)")
    page.get_by_label("Think before the answer").check()
    page.get_by_label("Most tokens of an answer").fill("50")
    expect(page.locator(".settings summary")).to_have_text(
        "Settings: thinker, temperature 0, at most 50 tokens, thinks first"
    )
    with page.expect_request("**/chat/questions") as asked:
        ask(page, "Count to ten.")
    assert asked.value.post_data_json == {
        "model": "thinker",
        "messages": [{"role": "user", "content": "Count to ten."}],
        "temperature": 0,
        "max_tokens": 50,
        "enable_thinking": True,
    }
    answer = wait_for_answer(page)
    assert "six seven eight nine ten" in answer
    assert "two" not in answer
    thoughts = page.locator(".thoughts")
    expect(thoughts.locator(".words")).to_be_hidden()
    thoughts.locator("summary").click()
    expect(thoughts.locator(".words")).to_contain_text("two three four")
    assert run_code(page, tmp_path) == (answer, answer)


def test_an_answer_is_stopped_and_the_last_question_edited(served: Served, page: Page, tmp_path: Path) -> None:
    """Stopping cancels the job. What is typed meanwhile stays, also while the last question is edited with its pictures."""
    (picture,) = save_scenes(tmp_path, 1)
    choose(page, picture)
    with served.paused():
        ask(page, "Describe it.")
        expect(page.locator(".facts")).to_have_text("Waiting for its turn")
        question_of(page).press_sequentially("One line")
        question_of(page).press("Shift+Enter")
        question_of(page).press_sequentially("and another")
        question_of(page).press("Enter")
        expect(page.get_by_role("alert")).to_have_text("Wait for the answer, or stop it.")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".facts")).to_contain_text("Stopped")
        expect(page.get_by_role("alert")).to_be_hidden()
        # The page says so at once, and the job is cancelled a moment later.
        newest = partial(served.client.get, "/v1/jobs", params={"limit": 1})
        until(lambda: newest().json()["data"][0]["status"] == "cancelled", "the end of the job")
    expect(question_of(page)).to_have_value("One line\nand another")
    page.get_by_role("button", name="Edit").click()
    expect(question_of(page)).to_have_value("Describe it.")
    expect(page.locator(".composer .preview")).to_have_count(1)
    question_of(page).press("Escape")
    expect(question_of(page)).to_have_value("One line\nand another")
    page.get_by_role("button", name="Edit").click()
    ask(page, "Describe this image.")
    assert "." in wait_for_answer(page)
    expect(page.locator(".turn")).to_have_count(1)
    expect(question_of(page)).to_have_value("One line\nand another")
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".facts")).to_contain_text("from the cache", timeout=ANSWERED)


def test_a_reload_goes_on_with_the_edit_of_the_last_question(page: Page) -> None:
    """The words that are being edited take the place of the question, and the draft comes back after them."""
    ask(page, "Count to ten.")
    wait_for_answer(page)
    question_of(page).fill("Draft")
    page.get_by_role("button", name="Edit").click()
    question_of(page).fill("Count to five.")
    page.reload()
    expect(page.get_by_text("Your last question, to edit")).to_be_visible()
    expect(question_of(page)).to_have_value("Count to five.")
    question_of(page).press("Enter")
    expect(page.locator(".asked .words")).to_have_text("Count to five.")
    wait_for_answer(page)
    expect(question_of(page)).to_have_value("Draft")


def test_enter_sends_pictures_that_are_still_read_and_leaves_words_to_the_input_method(
    page: Page, tmp_path: Path
) -> None:
    """Enter in the moment of a drop waits for the picture. Safari marks an Enter that chooses a character by its code only."""
    captions = save_scenes(tmp_path, 1)
    (picture,) = captions
    question_of(page).fill("Describe this image.")
    page.evaluate(
        """() => document.getElementById("question").dispatchEvent(
            new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true }))"""
    )
    expect(question_of(page)).to_have_value("Describe this image.")
    expect(page.locator(".turn")).to_have_count(0)
    give(page, ("drop", picture, picture.name), enter=True)
    expect(page.locator(".turn .preview")).to_have_count(1)
    assert wait_for_answer(page) == captions[picture]


def test_errors_are_sentences_and_texts_never_become_markup(page: Page, tmp_path: Path) -> None:
    """A picture for a text-only model, and a file that is no picture, are refused; the conversation goes on."""
    (picture,) = save_scenes(tmp_path, 1)
    named = picture.rename(tmp_path / f"{HOSTILE.replace('/', '')}.png")
    page.locator(".settings summary").click()
    page.get_by_label("Model").select_option(label="demo-text (text only)")
    choose(page, named)
    with page.expect_response("**/chat/questions") as refused:
        ask(page, f"{HOSTILE}\nOn two lines.")
    assert refused.value.status == 400
    problem = page.locator(".turn .problem")
    expect(problem).to_contain_text("'demo-text' is a text-only model and cannot look at images.")
    assert page.locator(".asked .words").inner_text() == f"{HOSTILE}\nOn two lines."
    expect(page.locator(".turn .preview span")).to_have_text(named.name)
    (tmp_path / "notes.txt").write_text("no picture")
    page.locator("#files").set_input_files(tmp_path / "notes.txt")
    expect(page.get_by_role("alert")).to_have_text("'notes.txt' is not a picture.")
    (tmp_path / "broken.png").write_text("no picture")
    choose(page, tmp_path / "broken.png")
    page.get_by_label("Model").select_option(label="demo")
    ask(page, "What is this?")
    expect(problem.last).to_contain_text("is not a supported image")
    ask(page, "Hello")
    wait_for_answer(page)
    assert page.title() == "Chat · captionq"


def test_a_reload_keeps_the_conversation_and_goes_on_with_its_answer(
    page: Page, served: Served, tmp_path: Path
) -> None:
    """Also the question that is being written; pictures that are too large to keep are named."""
    captions = save_scenes(tmp_path, 1)
    choose(page, *captions)
    with served.paused():
        ask(page, "Describe this image.")
        expect(page.locator(".facts")).to_have_text("Waiting for its turn")
        question_of(page).fill("Draft")
        page.reload()
        expect(question_of(page)).to_have_value("Draft")
        expect(page.locator(".turn .preview img")).to_be_visible()
    assert wait_for_answer(page) in captions.values()
    large = tmp_path / "large.png"
    large.write_bytes(next(iter(captions)).read_bytes() + bytes(9_000_000))
    choose(page, large)
    page.reload()
    expect(page.locator("#notice")).to_contain_text("too large to keep over the reload")
    expect(page.locator("#notice")).to_contain_text("large.png")
    expect(page.locator(".answer")).to_have_text(next(iter(captions.values())))


def test_the_session_asks_from_its_own_page_only(served: Served, page: Page) -> None:
    """A form of another page starts and stops nothing, and pictures of runs are not shown as answers."""
    (cookie,) = page.context.cookies()
    session = {"Cookie": f"{cookie['name']}={cookie['value']}", "Authorization": ""}
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    (job,) = served.client.post("/v1/jobs", json=[endless()]).json()["data"]
    paths = ("/chat/questions", "/chat/code", f"/chat/answers/{job['id']}/stop")
    for path in paths:
        for origin in ({}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "null"}):
            assert served.client.post(path, json=body, headers={**session, **origin}).status_code == 403
        assert served.client.post(path, json=body, headers={"Authorization": ""}).status_code == 401
    own = {**session, "Origin": served.url}
    assert served.client.post(paths[2], headers=own).status_code == 404
    assert served.client.get(f"/chat/answers/{job['id']}", headers=session).status_code == 404
    assert served.client.post(paths[0], json=body, headers=own).status_code == 201
    served.client.delete(f"/v1/jobs/{job['id']}")


def test_the_reference_needs_no_key_and_its_commands_run(served: Served, browser: Browser, tmp_path: Path) -> None:
    """Links lead through it without scripts, a button copies a command, and the server understands every command."""
    plain = browser.new_context(base_url=served.url, java_script_enabled=False)
    page = plain.new_page()
    page.goto("/docs")
    expect(page.locator("nav.places a[aria-current]")).to_have_text("API")
    page.get_by_role("link", name="POST /v1/jobs", exact=True).click()
    expect(page.get_by_role("heading", name="POST /v1/jobs", exact=True)).to_be_in_viewport()
    page.get_by_role("link", name="JobBody").first.click()
    expect(page.locator("#JobBody")).to_be_in_viewport()
    commands: list[str] = []
    for path in page.locator("nav.side > ul > li > a").evaluate_all("links => links.map((link) => link.pathname)"):
        html = page.goto(path)
        assert html is not None
        assert len(html.body()) < 200_000
        commands += page.locator("pre").all_text_contents()
    plain.close()
    assert len(commands) > 40
    next(iter(save_scenes(tmp_path, 1, ".jpg"))).rename(tmp_path / "picture.jpg")
    ids = dict.fromkeys(re.findall(r"\$([A-Z_]+_ID)", " ".join(commands)), "unknown_1")
    environment = {**os.environ, **ids, "CAPTIONQ_API_KEY": KEY, "MODEL": "demo"}
    for command in commands:
        told = command.replace("curl -sS", "curl -sS -o /dev/null -w '%{http_code}'")
        ran = subprocess.run(
            ["sh"], input=told, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        # Not found are the ids of nothing, and a folder that is not served is forbidden.
        assert ran.stdout in ("200", "201", "403", "404"), (command, ran)
    page = browser.new_page(base_url=served.url)
    faults = watch(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/docs/health")
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"curl -sS {served.url}/healthz"
    assert page.goto("/docs/unknown").status == 404  # type: ignore[union-attr]
    page.close()
    assert faults == []


def free_port() -> int:
    """Return a port at which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.mark.thorough
def test_a_server_that_stops_during_an_answer_is_waited_for(browser: Browser, tmp_path: Path) -> None:
    """The page says it, and shows the answer when the server is back. A question that could not be sent is kept."""
    settings = Settings(data_dir=tmp_path / DATA_FOLDER)
    settings.make_folders()
    port = str(free_port())
    context = browser.new_context(base_url=f"http://127.0.0.1:{port}")
    page = context.new_page()
    faults = watch(page)
    with serving(settings, "--port", port, CAPTIONQ_GRACE="0") as served:
        page.goto("/chat")
        with served.paused():
            ask(page, "Count to ten.")
            expect(page.locator(".facts")).to_have_text("Waiting for its turn")
            served.process.terminate()
            expect(page.locator("#notice")).to_contain_text("The connection to captionq is lost.", timeout=ANSWERED)
    with serving(settings, "--port", port) as served:
        wait_for_answer(page)
        expect(page.locator("#notice")).to_be_hidden()
        served.stop()
        ask(page, "Hello")
        expect(page.locator(".turn .problem").last).to_contain_text("captionq does not answer.")
    with serving(settings, "--port", port):
        page.get_by_role("button", name="Ask again").click()
        wait_for_answer(page)
        until(lambda: page.locator(".turn").count() == 2, "both turns")
    context.close()
    assert faults == []
