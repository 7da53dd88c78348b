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
#: Pydantic's types of complaints about a value that is no object, which it tells in Python's words.
_NO_OBJECT = ("dict_type", "model_type", "model_attributes_type")


def validation_detail(errors: Sequence[Any], body: object) -> ErrorDetail:
    """Choose the most telling of pydantic's complaints about a request."""
    # For a value that may have several types, pydantic complains once for each. The client meant the type in which validation
    # came farthest; "not of this type" is the least telling complaint.
    first = max(errors, key=lambda error: (len(_place(error, body)), not error["type"].endswith("_type")))
    param = ".".join(map(str, _place(first, body))) or None
    code = first["type"] if first["type"] in _OWN_CODES else InvalidRequestError.code
    if first["type"] == "json_invalid":
        return error_detail(code, 400, f"{param or 'The body'} is not valid JSON ({first['ctx']['error']}).", param)
    if param is None and first["type"] == "missing":
        return error_detail(code, 400, "The body is empty. Send a JSON object.")
    if first["type"] in _NO_OBJECT:
        message = "The body is no JSON object." if param is None else f"{param}: Input should be a JSON object."
        return error_detail(code, 400, message, param)
    if first["type"] == "extra_forbidden":
        return error_detail("unknown_parameter", 400, f"Unknown parameter '{param}'.", param)
    if first["type"] == "union_tag_invalid":
        tag, choices = str(first["ctx"]["tag"])[:40], first["ctx"]["expected_tags"]
        return error_detail(code, 400, f"{param}: type '{tag}' is not supported (only {choices}).", param)
    message = str(first["msg"]).removeprefix("Value error, ")
    if code == "unsupported_parameter":
        name = first["ctx"]["name"]
        place = ".".join(filter(None, [param, name]))
        return error_detail(code, 400, message.replace(f"'{name}'", f"'{place}'", 1), place)
    return error_detail(code, 400, f"{param}: {message.removesuffix('.')}." if param else message, param)


def _place(error: Any, body: object) -> list[str | int]:
    """Return the path to the value that is wrong, in the words of the client's body."""
    parts = list(error["loc"])
    if parts[:1] != ["body"]:
        return parts[1:] if len(parts) > 1 and parts[0] in _SOURCES else parts
    found: list[str | int] = []
    entered = False
    for number, part in enumerate(parts[1:], start=2):
        is_type = entered and isinstance(body, Mapping) and part == body.get("type")
        if is_type and not _is_field(str(part), parts[number:], body, error):
            # Not a place, but the type by which pydantic chose among several. It may also be the name of a field.
            entered = False
        # A form is a Mapping, but not a dict.
        elif (isinstance(body, Mapping) and part in body) or (isinstance(body, list) and part in range(len(body))):
            body = body[part]
            entered = True
            found.append(part)
        elif error["type"] == "missing" and number == len(parts):
            found.append(part)
        # Else not a place, but pydantic's name for one type of several.
    return found


def _is_field(part: str, rest: Sequence[str | int], body: Any, error: Any) -> bool:
    """Whether a part of a path that is also the type of its object is a field: a tool's function is of the type `function`."""
    if not rest:
        return bool(error["type"] == "missing")
    return isinstance(body.get(part), Mapping) and rest[0] not in body
