"""The shapes of errors on the wire."""

from __future__ import annotations

import json
from typing import Any


def check_error_of(path: str, body: bytes) -> None:
    """Check that an error has the shape of the dialect whose path was called."""
    found = json.loads(body)
    if path.startswith("/v1/messages"):
        assert set(found) == {"type", "error"}, found
        assert found["type"] == "error", found
        assert all(isinstance(found["error"][name], str) and found["error"][name] for name in ("type", "message"))
    elif path.startswith("/api/") and not path.startswith("/api/v0/"):
        assert set(found) == {"error"}, found
        assert isinstance(found["error"], str), found
    else:
        check_error_body(body)


def check_error_body(body: bytes) -> dict[str, Any]:
    """Check that a body has OpenAI's shape of an error; return the error."""
    found = json.loads(body)
    assert set(found) == {"error"}, found
    error: dict[str, Any] = found["error"]
    assert set(error) == {"message", "type", "param", "code"}, found
    assert all(isinstance(error[name], str) and error[name] for name in ("message", "type", "code")), found
    assert error["param"] is None or isinstance(error["param"], str), found
    return error
