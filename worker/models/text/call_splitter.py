"""Answers with calls of functions: the content before the calls, and the calls in the text in which they are streamed."""

from __future__ import annotations

from collections.abc import Iterator

from worker.models.text.thoughts import Split, ThoughtSplitter, open_from
from worker.sampling.call_format import CallFormat


class CallSplitter:
    """Splits a growing answer of which calls may be a part. The result does not depend on how the answer is cut into parts.

    Calls become lines, see `jobs.tools.calls_text`. A name is complete at once; arguments grow.
    """

    def __init__(self, form: CallFormat, thoughts: ThoughtSplitter | None = None) -> None:
        """Begin an answer; `thoughts`: takes the thoughts out of it first. None: it has none."""
        self._form = form
        self._thoughts = thoughts
        #: Text whose meaning is not known yet.
        self._held = ""
        self._is_start = True
        self._has_calls = False
        #: The arguments that are being written; None: no arguments are.
        self._arguments: _JSONValue | None = None

    def add(self, text: str) -> list[Split]:
        """Split the text that follows."""
        parts = [Split(content=text)] if self._thoughts is None else self._thoughts.add(text)
        return [split for part in parts for split in self._in_part(part)]

    def finish(self) -> list[Split]:
        """Split the text that was held back: the answer has ended. The beginning of a call that was cut off is dropped."""
        parts = [] if self._thoughts is None else self._thoughts.finish()
        splits = [split for part in parts for split in self._in_part(part)]
        if not self._has_calls and self._held:
            splits.append(Split(content=self._held))
        self._held = ""
        return splits

    def _in_part(self, part: Split) -> Iterator[Split]:
        if part.retracts or part.reasoning:
            yield Split(reasoning=part.reasoning, retracts=part.retracts)
        if part.content:
            self._held += part.content
            yield from self._advance()

    def _advance(self) -> Iterator[Split]:
        if not self._has_calls:
            content = self._content()
            self._is_start = self._is_start and not content.strip()
            if content:
                yield Split(content=content)
        while self._has_calls:
            if self._arguments is None:
                header = self._form.header.search(self._held)
                if header is None:
                    return
                self._held, self._arguments = self._held[header.end() :], _JSONValue()
                yield Split(calls=f"{header['name']}\n")
            written = self._arguments.take(self._held)
            self._held = self._held[len(written) :]
            if written:
                yield Split(calls=written)
            if not self._arguments.is_whole:
                return
            self._arguments = None
            yield Split(calls="\n")

    def _content(self) -> str:
        """Take the text before the calls out of the held text."""
        trigger = self._form.trigger
        at = self._held.find(trigger)
        if at >= 0 and self._may_begin(self._held[:at]):
            self._has_calls = True
        else:
            at = open_from(self._held, (trigger,))
            if not self._may_begin(self._held[:at]):
                at = len(self._held)
        content, self._held = self._held[:at], self._held[at:]
        return content

    def _may_begin(self, before: str) -> bool:
        return not self._form.only_at_start or (self._is_start and not before.strip())


class _JSONValue:
    """An object or array in JSON that is read piece by piece."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._is_escaped = False
        self.is_whole = False

    def take(self, text: str) -> str:
        """Return the part of the text that belongs to the value."""
        for at, character in enumerate(text):
            self._read(character)
            if self.is_whole:
                return text[: at + 1]
        return text

    def _read(self, character: str) -> None:
        if self._in_string:
            self._in_string = self._is_escaped or character != '"'
            self._is_escaped = not self._is_escaped and character == "\\"
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self.is_whole = self._depth <= 0
