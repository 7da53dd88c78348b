"""The header that names ignored parameters, whatever a client calls them."""

from __future__ import annotations

import pytest
from fastapi import Request, Response

from api.intake.ignored_parameters import HEADER, add_ignored_header


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["0", ""], '0, ""'), ([" x "], "x"), ([" "], '""'), (["a, b\r\n"], "a%2C b%0D%0A"), (["ü"], "%C3%BC")],
)
def test_the_header_is_valid_for_any_name(names: list[str], expected: str) -> None:
    """A value with white space at its end is refused by the server's own HTTP library: the client would get no answer."""
    response = Response()
    add_ignored_header(response, Request({"type": "http", "captionq.ignored": names}))
    assert response.headers[HEADER] == expected
