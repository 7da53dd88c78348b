"""The lines of a batch's file: read one at a time, and parsed as requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from pydantic_core import from_json

#: Maximum characters of a `custom_id`.
MAX_CUSTOM_ID = 512
#: Maximum values of a line: each becomes an object, so a line of nothing but `{},` would take thirty times its size in memory.
MAX_VALUES = 1_000_000
#: A mark that some editors put at the beginning of a text.
_BOM = b"\xef\xbb\xbf"
#: Bytes that are dropped at a time of a line that is too long.
_PIECE = 1 << 20


@dataclass(frozen=True)
class Line:
    """A line that is not empty."""

    #: 1, 2, 3 … in the file, empty lines included.
    number: int
    #: The place in the file behind the line.
    end_offset: int
    #: Without its end; None: the line is too long.
    data: bytes | None


@dataclass(frozen=True)
class LineRequest:
    """The request of a line."""

    custom_id: str
    body: dict[str, Any]


@dataclass(frozen=True)
class LineFlaw:
    """A flaw of a file, in the shape of OpenAI's batch errors."""

    code: str
    message: str
    #: None: the flaw is that of the whole file.
    line: int | None = None
    param: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class LineError(Exception):
    """A line is not a request."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param

    def at(self, line: int) -> LineFlaw:
        """Return the flaw of this line."""
        return LineFlaw(self.code, self.message, line, self.param)


def read_lines(file: BinaryIO, *, longest: int, number: int = 0, offset: int = 0) -> Iterator[Line]:
    """Yield the lines that are not empty, ended by LF or CRLF. One line is in memory at a time.

    Args:
        file: positioned anywhere.
        longest: bytes of the longest line that is read.
        number: of the line before the first that is read, which begins at `offset`.
        offset: in bytes.
    """
    file.seek(offset)
    while data := file.readline(longest + 2):
        number += 1
        if number == 1:
            data = data.removeprefix(_BOM)
        is_too_long = len(data.rstrip(b"\r\n")) > longest
        _skip_rest(file, data)
        if is_too_long or data.strip():
            yield Line(number, file.tell(), None if is_too_long else data.strip())


def parse_line(line: Line, endpoint: str) -> LineRequest:
    """Parse a line as a request to `endpoint`. Raises LineError."""
    value = _parsed(line)
    custom_id = value.get("custom_id")
    if custom_id is None:
        raise LineError("missing_required_parameter", "Missing required parameter: 'custom_id'.", "custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID:
        raise LineError(
            "invalid_custom_id", f"The custom_id must be a text of 1 to {MAX_CUSTOM_ID} characters.", "custom_id"
        )
    if value.get("method") != "POST":
        raise LineError("invalid_method", "The method must be POST.", "method")
    if value.get("url") != endpoint:
        raise LineError("invalid_url", f"The url must be the endpoint of the batch, {endpoint}.", "url")
    return LineRequest(custom_id, _checked_body(value.get("body")))


def _checked_body(body: object) -> dict[str, Any]:
    if body is None:
        raise LineError("missing_required_parameter", "Missing required parameter: 'body'.", "body")
    if not isinstance(body, dict):
        raise LineError("invalid_body", "The body must be an object.", "body")
    if body.get("stream") not in (None, False):
        raise LineError(
            "unsupported_parameter", "The answers of a batch cannot be streamed. Leave out 'stream'.", "body.stream"
        )
    return body


def _parsed(line: Line) -> dict[str, Any]:
    if line.data is None:
        raise LineError("line_too_large", "The line is too large. Refer to its images by file_id or https: addresses.")
    if line.data.count(b",") > MAX_VALUES:
        raise LineError("line_too_large", f"The line has more than {MAX_VALUES} values.")
    try:
        value = from_json(line.data, allow_inf_nan=False)
    except ValueError as error:
        raise LineError("invalid_json_line", _reason(line.data, error)) from None
    if not isinstance(value, dict):
        raise LineError("invalid_json_line", "This line is not a JSON object.")
    return value


def _reason(data: bytes, error: ValueError) -> str:
    try:
        data.decode()
    except UnicodeDecodeError:
        return "This line is not UTF-8. Save the file as UTF-8."
    return f"This line is not valid JSON: {error}."


def _skip_rest(file: BinaryIO, data: bytes) -> None:
    while data and not data.endswith(b"\n"):
        data = file.readline(_PIECE)
