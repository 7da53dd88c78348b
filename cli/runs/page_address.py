"""The address of the page of a captionq server that runs."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import httpx2

from jobs.errors import SettingsError

#: Seconds for the answer.
PATIENCE = 5.0


def page_address(url: str, run: str | None) -> str:
    """Return the address of the page, after the server there has answered. Raises SettingsError.

    Args:
        url: of the server, `http://host:port`.
        run: id of the run whose page is meant; None: the overview.
    """
    server = _server(url)
    try:
        # Without a proxy: the server is at this machine, or nearby.
        with httpx2.Client(timeout=PATIENCE, trust_env=False) as client:
            answer = client.get(f"{server}/healthz")
        is_ours = answer.status_code == 200 and answer.json() == {"status": "ok"}
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        is_ours = False
    if not is_ours:
        raise SettingsError(f"No captionq serve answers at {server}. Start it with: captionq serve")
    return f"{server}/runs/{quote(run, safe='')}" if run else f"{server}/"


def _server(url: str) -> str:
    """Return the scheme, the host and the port of an address. Raises SettingsError."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingsError(f"'{url}' is not an address. Write a scheme and a host, such as http://127.0.0.1:8484")
    return f"{parts.scheme}://{parts.netloc}"
