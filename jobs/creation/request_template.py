"""The request of a run's question, serialised once: the requests about two images differ in the images' addresses only."""

from __future__ import annotations

from secrets import token_hex
from typing import Self

from jobs.requests import Request


class RequestTemplate:
    """JSON of a request about one image file, with a gap in the place of the file's address."""

    def __init__(self, before: str, after: str) -> None:
        self._before = before
        self._after = after

    @classmethod
    def of(cls, request: Request) -> Self:
        """Make the template of a request about the image at `placeholder()`."""
        before, address, after = request.stored.partition(request.images[0].url)
        assert address
        return cls(before, after)

    def stored(self, address: str) -> str:
        """Return `Request.stored` of the request about a file (`file:///…`). No character of an address is escaped in JSON."""
        return f"{self._before}{address}{self._after}"


def placeholder() -> str:
    """Make an address that occurs nowhere else in a request."""
    return f"file:///{token_hex(16)}"
