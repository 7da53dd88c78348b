"""The answer of a followed job as it grows: pieces of text that are new to the client, also when the job is attempted again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jobs.queue.events import Event
from jobs.queue.growing_text import GrowingText
from jobs.store.answers import Answer, answers_of
from jobs.store.tables import Job
from jobs.tools import calls_text

#: The names of the events that an answer grows by.
TEXT_EVENTS = ("tokens", "thoughts", "calls")


@dataclass(frozen=True)
class Piece:
    """A part of the answer that is new to the client.

    A call of a function begins with a piece that has its name and no text; its arguments follow as text.
    """

    kind: Literal["text", "thoughts", "call"]
    text: str
    #: The number of the call in the answer, from 0, and its function's name in its first piece.
    call: int = 0
    name: str | None = None
    #: The number of the answer, if the request asked for several.
    choice: int = 0
    #: OpenAI's entries for the tokens of a piece of text.
    logprobs: list[Any] = field(default_factory=list)


class GrowingAnswer:
    """The answers to one request, put together from events. Text that was sent is never taken back."""

    def __init__(self) -> None:
        self._choices: defaultdict[int, _GrowingChoice] = defaultdict(_GrowingChoice)

    def add(self, event: Event) -> list[Piece]:
        """Return the pieces that are new to the client, by an event that is one of `TEXT_EVENTS`.

        The event's data: `text`, a piece of the attempt's text; `at`, the number of the attempt's characters before it;
        `attempt`, from 1; `choice`, the number of the answer if it is not the first; `logprobs`.

        Raises:
            DivergedError: the attempt's text is not the text that was sent.
        """
        choice = event.data.get("choice", 0)
        return _numbered(self._choices[choice].add(event), choice)

    def complete(self, job: Job) -> list[Piece]:
        """Return the pieces that are left when the job has its answers. Raises DivergedError."""
        return [
            piece
            for answer in answers_of(job)
            for piece in _numbered(self._choices[answer.number].complete(answer), answer.number)
        ]


class _GrowingChoice:
    """One answer of a request."""

    def __init__(self) -> None:
        self._thoughts = GrowingText()
        self._text = GrowingText()
        self._calls = GrowingText()
        self._sent_logprobs = 0
        self._logprobs: list[Any] = []

    def add(self, event: Event) -> list[Piece]:
        """See `GrowingAnswer.add`."""
        text, at, attempt = event.data["text"], event.data["at"], event.data["attempt"]
        if event.name == "thoughts":
            return self._new_thoughts() if self._thoughts.add(text, at, attempt) else []
        if event.name == "calls":
            return self._new_calls() if self._calls.add(text, at, attempt) else []
        if attempt > self._text.attempt:
            self._logprobs = []
        if not self._text.add(text, at, attempt):
            return []
        self._logprobs += event.data.get("logprobs") or []
        return self._new_text()

    def complete(self, answer: Answer) -> list[Piece]:
        """See `GrowingAnswer.complete`."""
        self._thoughts.complete(answer.reasoning or "")
        self._text.complete(answer.text)
        self._calls.complete(calls_text(answer.calls))
        self._logprobs = answer.logprobs or []
        return [*self._new_thoughts(), *self._new_text(), *self._new_calls()]

    def _new_text(self) -> list[Piece]:
        new, logprobs = self._text.take(), self._logprobs[self._sent_logprobs :]
        if not new and not (logprobs and self._text.is_sent):
            return []
        self._sent_logprobs += len(logprobs)
        return [Piece("text", new, logprobs=logprobs)]

    def _new_calls(self) -> list[Piece]:
        """Cut the new text of the calls into pieces: its lines are, in turn, names and arguments."""
        line = self._calls.sent.count("\n")
        pieces: list[Piece] = []
        for number, words in enumerate(self._calls.take().split("\n"), start=line):
            if number % 2 == 1 and words:
                pieces.append(Piece("call", words, call=number // 2))
            elif words:
                pieces.append(Piece("call", "", call=number // 2, name=words))
        return pieces

    def _new_thoughts(self) -> list[Piece]:
        new = self._thoughts.take()
        return [Piece("thoughts", new)] if new else []


def _numbered(pieces: list[Piece], choice: int) -> list[Piece]:
    return [replace(piece, choice=choice) for piece in pieces] if choice else pieces
