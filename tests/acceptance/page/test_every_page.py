"""All pages: small, from this server only, without faults, accessible, and usable from 360 px to 4K and by the keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response, ViewportSize

from api.pages.static_files import static_files
from tests.acceptance.page.every_page import PAGES, Example, make_example
from tests.support.pages import watched_page
from tests.support.serving import Served

pytestmark = pytest.mark.timeout(300)

#: Bytes of an answer that is no picture, and of all scripts together.
LARGEST_ANSWER, ALL_SCRIPTS = 200_000, 60_000
#: Width and height of a small phone and of a 4K screen.
PHONE = ViewportSize(width=360, height=740)
SCREEN_4K = ViewportSize(width=3840, height=2160)

#: Elements that the keyboard must reach: those that a person sees and may use. Of radio buttons Tab reaches one of a group.
REACHABLE = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter(element => element.checkVisibility() && !element.disabled && element.type !== "radio")"""
#: Whether elements share their visible outline with the focus.
FOCUSED = "() => { const all = window.reachable; return all.indexOf(document.activeElement); }"


@pytest.fixture(scope="module")
def example(served: Served) -> Example:
    """Pictures for all tests of this file."""
    return make_example(served)


@pytest.fixture(scope="module")
def window(browser: Browser, served: Served, session: Any) -> Iterator[Page]:
    """One window for all tests of this file. Faults that pages report fail the last of them."""
    with watched_page(browser, served, session) as page:
        yield page


#: Pages whose templates another page here has too.
RELATIVES = ("failures", "reference")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.thorough] if name in RELATIVES else []) for name in PAGES]
)
def test_a_page_is_small_accessible_and_reached_by_the_keyboard(
    served: Served, window: Page, example: Example, name: str
) -> None:
    """Light on a phone, and dark on a 4K screen: sizes change no colours, and colours no structure."""
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    window.on("response", note)
    window.set_viewport_size(PHONE)
    window.emulate_media(color_scheme="light")
    path = PAGES[name](example)
    window.goto(path)
    assert window.title().endswith("captionq")
    assert window.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "the page scrolls sideways"
    check_accessibility(window)
    check_keyboard(window)
    window.emulate_media(color_scheme="dark")
    window.set_viewport_size(SCREEN_4K)
    check_accessibility(window)
    assert window.evaluate("document.documentElement.scrollWidth") <= SCREEN_4K["width"]
    window.remove_listener("response", note)
    check_budgets(answers, served)


def check_accessibility(page: Page) -> None:
    """Check that axe-core finds no violation."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def check_keyboard(page: Page) -> None:
    """Check that Tab reaches everything that can be used, and shows where it is."""
    count = page.evaluate(f"() => (window.reachable = ({REACHABLE})()).length")
    reached = set()
    page.evaluate("() => document.activeElement.blur()")
    for _ in range(count + 5):
        page.keyboard.press("Tab")
        place = page.evaluate(FOCUSED)
        if place >= 0:
            reached.add(place)
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    missed = page.evaluate(
        "places => window.reachable.filter((_, i) => !places.includes(i)).map(e => e.outerHTML)", list(reached)
    )
    assert missed == []


def check_budgets(answers: list[Response], served: Served) -> None:
    """Check that all answers come from this server, and that none is large, unless it is a picture."""
    assert answers
    for answer in answers:
        assert urlsplit(answer.url).netloc == urlsplit(served.url).netloc, answer.url
        kind = answer.headers.get("content-type", "")
        if not kind.startswith(("image/jpeg", "text/event-stream")):
            assert len(answer.body()) < LARGEST_ANSWER, answer.url


def test_all_scripts_together_are_small() -> None:
    """The scripts of all pages, as they are sent."""
    sizes = {name: len(content) for name, (_, content) in static_files().items() if name.endswith(".js")}
    assert sum(sizes.values()) < ALL_SCRIPTS, sizes
