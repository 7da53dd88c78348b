"""The output of `captionq batch run`, continued after any end of the run before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.runs.batches.batch_output import open_output
from jobs.errors import InvalidRequestError


def result(custom_id: str, status: int = 200) -> bytes:
    """Return the line of a result."""
    return json.dumps({"custom_id": custom_id, "response": {"status_code": status}}).encode() + b"\n"


def test_what_is_there_stays_and_is_not_asked_again(tmp_path: Path) -> None:
    """Also an id outside of ASCII, and a line whose request had failed is asked again."""
    path = tmp_path / "out.jsonl"
    before = result("é-1") + result("2", status=500)
    path.write_bytes(before)
    with open_output(path) as output:
        assert "é-1" in output
        assert "2" not in output
        assert len(output) == 1
        output.add([result("2")])
    assert path.read_bytes() == before + result("2")


@pytest.mark.parametrize("kept", range(1, len(result("2"))))
def test_a_line_that_a_kill_has_cut_goes(tmp_path: Path, kept: int) -> None:
    """A whole line without its end stays."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(result("1") + result("2")[:kept])
    with open_output(path) as output:
        is_whole = "2" in output
        output.add([] if is_whole else [result("2")])
    assert is_whole == (kept == len(result("2")) - 1)
    assert path.read_bytes() == result("1") + result("2")


@pytest.mark.parametrize("content", [b"hello\n", b'{"a": 1}\n', b"[1]\n", b"\xff\n"])
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """A mistyped name costs nobody a file."""
    path = tmp_path / "notes.txt"
    path.write_bytes(result("1") + content)
    with pytest.raises(InvalidRequestError, match="line 2 is not a result"), open_output(path):
        pass
    assert path.read_bytes() == result("1") + content


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    """The second says so."""
    path = tmp_path / "out.jsonl"
    with open_output(path), pytest.raises(InvalidRequestError, match="another captionq batch run"), open_output(path):
        pass
