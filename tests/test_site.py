"""The site of the documentation: it is built by strict rules, complete, and fetches nothing from elsewhere."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import click
import pytest

from cli.main import COMMANDS, captionq

ROOT = Path(__file__).parent.parent
#: Pages whose sessions other tests run, command by command.
PLAYED = {"docs/tutorial.md", "docs/http.md"}


class Page(HTMLParser):
    """The places of a page, the addresses that it links to, and those that a browser fetches with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places |= {given[name] or "" for name in ("id", "name") if name in given}
        if tag == "a" and given.get("href"):
            self.links.add(given["href"] or "")
        if tag == "link" and "canonical" not in (given.get("rel") or ""):
            self.fetched.add(given["href"] or "")
        if given.get("src"):
            self.fetched.add(given["src"] or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. A failed build shows the sentences of mkdocs, such as the pages that `nav` in mkdocs.yml leaves out."""
    with pytest.MonkeyPatch.context() as patch:
        # Material tells of its successor on standard error.
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        from mkdocs.commands.build import build
        from mkdocs.config import load_config
        from mkdocs.exceptions import Abort

        folder = tmp_path_factory.mktemp("site")
        told = _Told()
        logging.getLogger("mkdocs").addHandler(told)
        try:
            build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
        except Abort as end:
            pytest.fail("\n".join([str(end), *told.sentences]))
        finally:
            logging.getLogger("mkdocs").removeHandler(told)
    return folder


class _Told(logging.Handler):
    """The warnings of a build."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """The pages of the site by their files."""
    # The page of an unknown address has the addresses of a site at the root of its host.
    return {path: Page(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_link_leads_to_a_page_and_a_place(pages: dict[Path, Page]) -> None:
    """mkdocs looks at the links of Markdown only; the generated pages have HTML too."""
    broken = []
    for path, page in pages.items():
        for link in page.links:
            address, place = urldefrag(link)
            if "://" in address or address.startswith(("data:", "mailto:")):
                continue
            target = (path.parent / unquote(address)).resolve() if address else path
            if not target.exists() or (place and target in pages and unquote(place) not in pages[target].places):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_a_reader_fetches_nothing_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    """Scripts, styles, fonts and pictures are files of the site."""
    for path, page in pages.items():
        foreign = [
            one
            for one in page.fetched
            if not one.startswith("data:") and not (path.parent / urldefrag(one).url).exists()
        ]
        assert foreign == [], path
    styles = {path: path.read_text() for path in site.rglob("*.css")}
    assert styles
    assert {
        path.name: found
        for path, text in styles.items()
        if (found := re.findall(r"(?:url\(|@import)[\"']?http\S+", text))
    } == {}


def test_every_command_and_option_has_its_place(site: Path, pages: dict[Path, Page]) -> None:
    """The reference has a page a command; each subcommand and each long option can be linked to."""
    context = click.Context(captionq, info_name="captionq")
    for name in COMMANDS:
        places = pages[site / "reference" / "commands" / f"{name}.html"].places
        command = captionq.get_command(context, name)
        assert command is not None
        assert set(_places(command, context, name)) <= places


def _places(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=name)
    path = context.command_path.replace(" ", "-")
    yield path
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            yield f"{path}-{next(one for one in option.opts if one.startswith('--'))[2:]}"
    if isinstance(command, click.Group):
        for below, subcommand in command.commands.items():
            yield from _places(subcommand, context, below)


def test_every_operation_has_its_place(site: Path, pages: dict[Path, Page]) -> None:
    """The description for programs lies beside the pages, and each of its operations is on one of them."""
    folder = site / "reference" / "api"
    document: dict[str, Any] = json.loads((folder / "openapi.json").read_text())
    operations = [
        (tag, method, path)
        for path, methods in document["paths"].items()
        for method, one in methods.items()
        for tag in one["tags"]
    ]
    assert len(operations) > 30
    for tag, method, path in operations:
        anchor = f"{method}-{re.sub(r'[^a-z0-9_]+', '-', path).strip('-')}"
        assert anchor in pages[folder / f"{tag}.html"].places


def test_sessions_stand_only_on_pages_that_tests_run() -> None:
    """A console block shows real output. What no test runs is a block of `sh` or `text`."""
    with_sessions = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md") if "```console" in path.read_text()
    }
    assert {name for name in with_sessions if not name.startswith("docs/guides/")} == PLAYED
