"""The pieces of a streamed answer whose job is attempted again in the middle."""

from __future__ import annotations

from typing import Any

import pytest

from api.streaming.growing_answer import GrowingAnswer, Piece
from jobs.queue.events import Event
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


def tokens(text: str, at: int, attempt: int, logprobs: list[Any] | None = None, name: str = "tokens") -> Event:
    """Return the event for a piece of an attempt's text."""
    return Event("job-1", name, {"text": text, "at": at, "attempt": attempt, "logprobs": logprobs})


def texts(pieces: list[Piece]) -> list[str]:
    """Return the texts of pieces."""
    return [piece.text for piece in pieces]


def test_text_that_was_sent_is_not_sent_again() -> None:
    """The second attempt cuts its text into other pieces."""
    answer = GrowingAnswer()
    assert texts(answer.add(tokens("A large ", 0, 1))) == ["A large "]
    assert answer.add(tokens("A", 0, 2)) == []
    assert texts(answer.add(tokens(" large red", 1, 2))) == ["red"]
    assert texts(answer.complete(job("A large red circle."))) == [" circle."]


def test_another_answer_is_an_error() -> None:
    """Text that was sent cannot be taken back."""
    answer = GrowingAnswer()
    answer.add(tokens("A large ", 0, 1))
    with pytest.raises(DivergedError):
        answer.add(tokens("Two", 0, 2))
    with pytest.raises(DivergedError):
        answer.complete(job("A"))


def test_log_probabilities_go_on_where_they_were() -> None:
    """The entry of each token is sent once."""
    answer = GrowingAnswer()
    (first,) = answer.add(tokens("a b", 0, 1, [1, 2]))
    assert answer.add(tokens("a", 0, 2, [1])) == []
    (second,) = answer.add(tokens(" b c", 1, 2, [2, 3]))
    assert (first.logprobs, second.logprobs) == ([1, 2], [3])


def test_repeated_events_are_sent_once_and_lost_ones_come_with_the_row() -> None:
    """A broker that fails in the middle repeats or loses events."""
    answer = GrowingAnswer()
    assert texts(answer.add(tokens("There ", 0, 1))) == ["There "]
    assert answer.add(tokens("There ", 0, 1)) == []
    assert answer.add(tokens("danger", 12, 1)) == []
    assert answer.add(tokens(".", 18, 1)) == []
    assert texts(answer.complete(job("There is no danger."))) == ["is no danger."]


def test_thoughts_come_before_the_text_and_are_sent_once() -> None:
    """A client gets them apart from the text, also those that the broker lost."""
    answer = GrowingAnswer()
    assert answer.add(tokens("The user", 0, 1, name="thoughts")) == [Piece("thoughts", "The user")]
    assert answer.add(tokens("The", 0, 2, name="thoughts")) == []
    row = job("A circle.")
    row.reasoning = "The user wants it short."
    assert answer.complete(row) == [Piece("thoughts", " wants it short."), Piece("text", "A circle.")]
    with pytest.raises(DivergedError):
        answer.add(tokens("Now", 0, 3, name="thoughts"))


def test_answers_grow_beside_each_other() -> None:
    """Each has its own text, and its own attempts."""
    answer = GrowingAnswer()
    second = Event("job-1", "tokens", {"text": "Two", "at": 0, "attempt": 1, "choice": 1})
    assert answer.add(tokens("One", 0, 1)) == [Piece("text", "One")]
    assert answer.add(second) == [Piece("text", "Two", choice=1)]
    assert answer.add(second) == []
    row = job("One.")
    row.choices = '[{"text": "Two!", "finish_reason": "stop", "reasoning": null, "tool_calls": null, "logprobs": null}]'
    assert answer.complete(row) == [Piece("text", "."), Piece("text", "!", choice=1)]


def test_calls_grow_by_name_and_arguments() -> None:
    """The name comes with the first piece of a call; the arguments of a row that are left follow."""
    answer = GrowingAnswer()
    assert answer.add(tokens('f\n{"a"', 0, 1, name="calls")) == [
        Piece("call", "", name="f"),
        Piece("call", '{"a"'),
    ]
    row = job("")
    row.tool_calls = '[{"name": "f", "arguments": "{\\"a\\": \\"\u2028\\"}"}, {"name": "g", "arguments": "{}"}]'
    assert answer.complete(row) == [
        Piece("call", ': "\u2028"}'),
        Piece("call", "", call=1, name="g"),
        Piece("call", "{}", call=1),
    ]
