"""From the complaints of pydantic to one error that names the parameter as it stands in the client's body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from api.errors.body import ErrorDetail, error_detail
from jobs.errors import InvalidRequestError

#: Codes that validators of this package raise by name.
_OWN_CODES = ("unsupported_parameter", "invalid_image_url", "invalid_request_error")
#: Parts of a request other than its body.
_SOURCES = ("query", "path", "header")


def validation_detail(errors: Sequence[Any], body: object) -> ErrorDetail:
    """Choose the most telling of pydantic's complaints about a request."""
    # For a value that may have several types, pydantic complains once for each. The client meant the type in which validation
    # came farthest; "not of this type" is the least telling complaint.
    first = max(errors, key=lambda error: (len(_place(error, body)), not error["type"].endswith("_type")))
    param = ".".join(map(str, _place(first, body))) or None
    code = first["type"] if first["type"] in _OWN_CODES else InvalidRequestError.code
    if first["type"] == "json_invalid":
        return error_detail(code, 400, "The body is not valid JSON.")
    if first["type"] == "extra_forbidden":
        return error_detail("unknown_parameter", 400, f"Unknown parameter '{param}'.", param)
    message = str(first["msg"]).removeprefix("Value error, ")
    if code == "unsupported_parameter":
        return error_detail(code, 400, message, first.get("ctx", {}).get("name"))
    return error_detail(code, 400, f"{param}: {message.removesuffix('.')}." if param else message, param)


def _place(error: Any, body: object) -> list[str | int]:
    """Return the path to the value that is wrong, in the words of the client's body."""
    parts = list(error["loc"])
    if parts[:1] != ["body"]:
        return parts[1:] if len(parts) > 1 and parts[0] in _SOURCES else parts
    found = []
    for number, part in enumerate(parts[1:], start=2):
        # A form is a Mapping, but not a dict.
        if (isinstance(body, Mapping) and part in body) or (isinstance(body, list) and part in range(len(body))):
            body = body[part]
        elif error["type"] != "missing" or number < len(parts):
            # Not a place, but pydantic's name for one type of several.
            continue
        found.append(part)
    return found
