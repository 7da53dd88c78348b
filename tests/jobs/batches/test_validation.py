"""Files of requests, valid and malformed, each with its documented answer."""

from __future__ import annotations

import io
import json

import pytest

from jobs.batches.lines import MAX_VALUES, LineFlaw, parse_line, read_lines
from jobs.batches.validation import MAX_FLAWS, CheckedFile, FileLimits, check_file
from tests.support.batches import ENDPOINT, request_line, resolve

LIMITS = FileLimits(lines=200, longest_line=12_000_000)
A, B = request_line("a"), request_line("b")


def checked(data: bytes, limits: FileLimits = LIMITS) -> CheckedFile:
    """Check a file."""
    return check_file(io.BytesIO(data), ENDPOINT, limits, resolve)


@pytest.mark.parametrize(
    ("data", "total"),
    [
        pytest.param(A + B, 2, id="plain"),
        pytest.param((A + B).rstrip(b"\n"), 2, id="no end of the last line"),
        pytest.param(b"\xef\xbb\xbf" + A + B, 2, id="BOM"),
        pytest.param((A + B).replace(b"\n", b"\r\n"), 2, id="CRLF"),
        pytest.param(b"\n" + A + b"  \r\n\n" + B + b"\n\n", 2, id="empty lines"),
        pytest.param(request_line("a", body={"model": "demo", "text": "x" * 10_000_000}), 1, id="a line of 10 MB"),
        pytest.param(request_line("a", more={"is": "ignored"}), 1, id="unknown fields"),
        pytest.param(request_line("a", body={"stream": False}), 1, id="stream is false"),
        pytest.param(request_line("é\u2028\0" + "x" * 509), 1, id="an odd custom_id of 512 characters"),
        pytest.param(A + request_line("b", body={"ask": 1}), 2, id="the default model has a name"),
        pytest.param(request_line("a", body={"model": 7}), 1, id="a flaw of the body is left to the line"),
    ],
)
def test_a_valid_file_has_no_flaws(data: bytes, total: int) -> None:
    """Every request is counted, and their model is known."""
    assert checked(data) == CheckedFile(total, None if b"7" in data and total == 1 and b'": 7' in data else "demo", ())


@pytest.mark.parametrize(
    ("data", "code", "line", "param"),
    [
        pytest.param(b"", "empty_file", None, None, id="empty"),
        pytest.param(b"\xef\xbb\xbf\r\n\n", "empty_file", None, None, id="only empty lines"),
        pytest.param(A + b"{\n", "invalid_json_line", 2, None, id="no JSON"),
        pytest.param(A + b'{"x": NaN}\n', "invalid_json_line", 2, None, id="NaN"),
        pytest.param(A + b"[]\n", "invalid_json_line", 2, None, id="no object"),
        pytest.param(A + b"\n" + b'{"custom_id": "\xff"}\n', "invalid_json_line", 3, None, id="invalid UTF-8"),
        pytest.param((A + B).decode().encode("utf-16"), "invalid_json_line", 1, None, id="UTF-16"),
        pytest.param(b'{"custom_id": "\\ud800"}\n', "invalid_json_line", 1, None, id="half a surrogate pair"),
        pytest.param(b"[" * 100_000 + b"\n", "invalid_json_line", 1, None, id="thousands of levels"),
        pytest.param(b"," * (MAX_VALUES + 1) + b"\n", "line_too_large", 1, None, id="a million values"),
        pytest.param(A + b" " * 12_000_001 + b"x\n" + B, "line_too_large", 2, None, id="a line that is too long"),
        pytest.param(A + B + A, "duplicate_custom_id", 3, "custom_id", id="duplicate custom_id"),
        pytest.param(b"{}\n", "missing_required_parameter", 1, "custom_id", id="no custom_id"),
        pytest.param(request_line(""), "invalid_custom_id", 1, "custom_id", id="an empty custom_id"),
        pytest.param(request_line("x" * 513), "invalid_custom_id", 1, "custom_id", id="a long custom_id"),
        pytest.param(b'{"custom_id": 7}\n', "invalid_custom_id", 1, "custom_id", id="a number as custom_id"),
        pytest.param(request_line(method="GET"), "invalid_method", 1, "method", id="wrong method"),
        pytest.param(request_line(url="/v1/embeddings"), "invalid_url", 1, "url", id="wrong url"),
        pytest.param(request_line(body=None), "missing_required_parameter", 1, "body", id="no body"),
        pytest.param(request_line(body="x"), "invalid_body", 1, "body", id="a text as body"),
        pytest.param(
            A + request_line("b", body={"stream": True}), "unsupported_parameter", 2, "body.stream", id="stream"
        ),
        pytest.param(request_line(body={"model": "gpt-4o"}), "model_not_found", 1, "body.model", id="an unknown model"),
        pytest.param(
            A + request_line("b", body={"model": "demo-text"}), "mismatched_model", 2, "body.model", id="mixed models"
        ),
    ],
)
def test_a_malformed_file_has_a_flaw(data: bytes, code: str, line: int | None, param: str | None) -> None:
    """The flaw names the line and the parameter, in a sentence."""
    flaw = checked(data).flaws[0]
    assert (flaw.code, flaw.line, flaw.param) == (code, line, param)
    assert flaw.message.endswith(".")


def test_too_many_requests_and_too_many_flaws_end_the_check() -> None:
    """The first is one flaw of the whole file; of flaws at most a hundred are listed."""
    small = FileLimits(lines=2, longest_line=1000)
    assert [flaw.code for flaw in checked(A + B, small).flaws] == []
    assert checked(A + B + request_line("c"), small).flaws == (
        LineFlaw(
            "too_many_requests", "The file has more than 2 requests (CAPTIONQ_MAX_BATCH_LINES). Send it in parts."
        ),
    )
    assert len(checked(b"{}\n" * 150).flaws) == MAX_FLAWS


def test_lines_are_read_on_from_any_place() -> None:
    """The numbers and places of the later lines are the same."""
    data = b"\xef\xbb\xbf" + A + b"\r\n" + B + b"y" * 2000 + b"\n" + request_line("c")
    file = io.BytesIO(data)
    lines = list(read_lines(file, longest=1000))
    assert [line.number for line in lines] == [1, 3, 4, 5]
    assert [line.data is None for line in lines] == [False, False, True, False]
    for place, line in enumerate(lines):
        rest = list(read_lines(file, longest=1000, number=line.number, offset=line.end_offset))
        assert rest == lines[place + 1 :]


def test_a_custom_id_comes_back_untouched() -> None:
    """Whatever its characters are."""
    custom_id = "\0é\u2028🦉\x85 "
    (line,) = read_lines(io.BytesIO(request_line(custom_id)), longest=1000)
    assert parse_line(line, ENDPOINT).custom_id == custom_id
    assert json.loads(line.data or b"")["custom_id"] == custom_id
