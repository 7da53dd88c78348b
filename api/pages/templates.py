"""The templates of the page, and the words for times and amounts in them."""

from __future__ import annotations

import time
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from api.pages.static_files import static_url

#: Headers of every page. Names of files and captions come from strangers: even if one became markup, no script of it would run.
#: `blob:` shows pictures that a person has chosen and not sent yet.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": forms would be sent with the origin `null`, which the same-site check refuses.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def ago(seconds_since_epoch: float) -> str:
    """Write how long ago a moment was."""
    passed = max(0.0, time.time() - seconds_since_epoch)
    return "just now" if passed < 60 else f"{duration(passed)} ago"


def duration(seconds: float) -> str:
    """Write a length of time in its largest unit or two."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d"


def amount(number: int) -> str:
    """Write a number with thin spaces between its groups of three digits."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def breakable(path: str) -> Markup:
    """Let a browser break a path behind its slashes rather than within a word."""
    return escape(path).replace("/", Markup("/<wbr>"))


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["static_url"] = static_url
_environment.filters.update(ago=ago, duration=duration, amount=amount, breakable=breakable)


def render(template: str, **values: object) -> str:
    """Render a template. Every value is escaped."""
    return _environment.get_template(template).render(**values)


def page(template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """Return the response with a page, or a part of one."""
    return HTMLResponse(render(template, **values), status, PAGE_HEADERS)
