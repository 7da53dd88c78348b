"""The session of a person who gave the page an API key: a cookie that proves the key, and that no script can read.

The cookie ends with the browser's session, and holds a hash: with the key gone from the settings, the cookie is worth nothing.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from jobs.configuration.settings import Settings
from jobs.errors import AuthenticationError, CaptionqError, ForbiddenError

COOKIE = "captionq_session"
#: Paths of pages, and the beginnings of others. The cookie is worth nothing elsewhere: programs send their key.
PAGES = ("/", "/live", "/logout", "/start", "/chat")
PAGE_FOLDERS = ("/runs/", "/start/", "/chat/")
#: Beginnings of pages that need no key: they hold no data.
OPEN_PAGES = ("/login", "/static/", "/docs")
_SAFE_METHODS = ("GET", "HEAD")


def session_value(secret: str) -> str:
    """Return the value of the cookie for this key."""
    return hmac.digest(secret.encode(), b"captionq page session", "sha256").hex()


def is_page(path: str) -> bool:
    """Return whether the path is a page's that shows data."""
    return path in PAGES or path.startswith(PAGE_FOLDERS)


def caller_with_session(headers: Headers, settings: Settings) -> str | None:
    """Return the name of the key that the cookie proves; None: there is no valid cookie."""
    given = cookie_parser(headers.get("cookie", "")).get(COOKIE, "").encode(errors="replace")
    # Every key is compared, each in constant time, so that the duration reveals nothing.
    known = [
        name
        for name, secret in settings.api_keys.items()
        if hmac.compare_digest(given, session_value(secret.get_secret_value()).encode())
    ]
    return known[0] if known else None


def page_caller(method: str, headers: Headers, settings: Settings) -> str:
    """Return the caller of a page by the session. Raises AuthenticationError, ForbiddenError."""
    caller = caller_with_session(headers, settings)
    if caller is None:
        raise AuthenticationError("Log in at /login with an API key.")
    if (error := cross_site_refusal(method, headers)) is not None:
        raise error
    return caller


def page_to_return_to(method: str, path: str, query: bytes, headers: Headers) -> str:
    """Return the address to which a login leads: of the page that was asked for, or of the one that sent a form."""
    if method in _SAFE_METHODS:
        return f"{path}?{query.decode('ascii', 'replace')}" if query else path
    try:
        sender = urlsplit(headers.get("referer", ""))
    except ValueError:
        return "/"
    if sender.netloc != headers.get("host") or not is_page(sender.path):
        return "/"
    return f"{sender.path}?{sender.query}" if sender.query else sender.path


def cross_site_refusal(method: str, headers: Headers) -> CaptionqError | None:
    """Return the refusal of a form that another page sent. To SameSite cookies, other ports of a host are the same site."""
    origin = headers.get("origin")
    if method in _SAFE_METHODS and origin is None:
        return None
    if origin is None or urlsplit(origin).netloc != headers.get("host"):
        return ForbiddenError("This change was sent from another page. Use the forms of captionq's own page.")
    return None
