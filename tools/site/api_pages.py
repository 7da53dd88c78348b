"""The OpenAPI document as pages, a page a tag, in the words of the server's own reference at `/docs`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.app import create_app
from api.pages import templates
from api.pages.reference.document_view import DocumentView
from jobs.configuration.settings import Settings

_FOLDER = "reference/api"
#: Where `captionq serve` listens unless it is told otherwise.
_ADDRESS = "http://127.0.0.1:8484"


def api_pages() -> dict[str, str]:
    """Return the pages by their addresses, and the document itself."""
    with tempfile.TemporaryDirectory() as folder:
        document = create_app(Settings(data_dir=Path(folder), model="demo")).openapi()
    view = DocumentView(document, _ADDRESS, needs_key=False)
    chapters = view.chapters()
    # The words of types, fields and answers are those of the server's pages.
    environment = Environment(
        loader=FileSystemLoader(
            [Path(__file__).with_name("templates"), Path(templates.__file__).with_name("templates")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    contents, chapter = environment.get_template("contents.md"), environment.get_template("chapter.md")
    pages = {f"{_FOLDER}/index.md": contents.render(view=view, chapters=chapters, address=_ADDRESS)}
    for one in chapters:
        pages[f"{_FOLDER}/{one.tag}.md"] = chapter.render(view=view, chapter=one)
    return pages | {f"{_FOLDER}/openapi.json": json.dumps(document, indent=1, ensure_ascii=False)}
