"""The chunks of a streamed answer whose job is attempted again in the middle."""

from __future__ import annotations

from typing import Any

import pytest

from api.streaming.chat_chunks import Chunks
from jobs.queue.growing_text import DivergedError
from jobs.store.tables import Job, JobStatus


def job(text: str) -> Job:
    """Return the row of a job that has succeeded."""
    return Job(
        model="demo",
        request="{}",
        digest="x",
        status=JobStatus.SUCCEEDED,
        text=text,
        finish_reason="stop",
        logprobs=None,
    )


def content(chunk: dict[str, Any] | None) -> str | None:
    """Return the text that a chunk adds; None: there is no chunk."""
    return None if chunk is None else chunk["choices"][0]["delta"].get("content")


def test_text_that_was_sent_is_not_sent_again() -> None:
    """The second attempt cuts its text into other pieces."""
    chunks = Chunks(job(""), with_usage=False)
    assert content(chunks.tokens("A large ", 0, 1)) == "A large "
    assert content(chunks.tokens("A", 0, 2)) is None
    assert content(chunks.tokens(" large red", 1, 2)) == "red"
    rest = chunks.rest(job("A large red circle."))
    assert [content(chunk) for chunk in rest] == [" circle.", None]
    assert rest[-1]["choices"][0]["finish_reason"] == "stop"


def test_another_answer_is_an_error() -> None:
    """Text that was sent cannot be taken back."""
    chunks = Chunks(job(""), with_usage=False)
    chunks.tokens("A large ", 0, 1)
    with pytest.raises(DivergedError):
        chunks.tokens("Two", 0, 2)
    with pytest.raises(DivergedError):
        chunks.rest(job("A"))


def test_log_probabilities_go_on_where_they_were() -> None:
    """The entry of each token is sent once."""
    chunks = Chunks(job(""), with_usage=False)
    first = chunks.tokens("a b", 0, 1, [1, 2])
    assert chunks.tokens("a", 0, 2, [1]) is None
    second = chunks.tokens(" b c", 1, 2, [2, 3])
    assert first is not None
    assert second is not None
    assert first["choices"][0]["logprobs"]["content"] == [1, 2]
    assert second["choices"][0]["logprobs"]["content"] == [3]


def test_repeated_events_are_sent_once_and_lost_ones_come_with_the_row() -> None:
    """A broker that fails in the middle repeats or loses events."""
    chunks = Chunks(job(""), with_usage=False)
    assert content(chunks.tokens("There ", 0, 1)) == "There "
    assert chunks.tokens("There ", 0, 1) is None
    assert chunks.tokens("danger", 12, 1) is None
    assert chunks.tokens(".", 18, 1) is None
    assert [content(chunk) for chunk in chunks.rest(job("There is no danger."))] == ["is no danger.", None]


def test_thoughts_come_before_the_text_and_are_sent_once() -> None:
    """A client gets them as `reasoning_content`, also those that the broker lost."""
    chunks = Chunks(job(""), with_usage=False)
    first = chunks.thoughts("The user", 0, 1)
    assert first is not None
    assert first["choices"][0]["delta"] == {"reasoning_content": "The user"}
    assert chunks.thoughts("The", 0, 2) is None
    row = job("A circle.")
    row.reasoning = "The user wants it short."
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks.rest(row)]
    assert deltas == [{"reasoning_content": " wants it short."}, {"content": "A circle."}, {}]
    with pytest.raises(DivergedError):
        chunks.thoughts("Now", 0, 3)
