"""Reasoning models: an answer is split into the thoughts (reasoning) and the content that the request asked for.

Each family marks its thoughts in its own way. A mark that the chat template or the vocabulary holds is found anywhere in the
answer. The others count only where an answer begins: later they are words, such as those of a page that a picture shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ThoughtMarks:
    """The marks before and after a thought."""

    open: str
    close: str


#: Marks that a prompt may also ask for, as names of XML elements: they count only if the model is known to have them.
_ORDINARY_MARKS = (
    ThoughtMarks("<thought>", "</thought>"),
    ThoughtMarks("<reasoning>", "</reasoning>"),
    ThoughtMarks("<reason>", "</reason>"),
)
#: The marks of known families.
THOUGHT_MARKS = (
    *_ORDINARY_MARKS,
    ThoughtMarks("<think>", "</think>"),
    ThoughtMarks("<thinking>", "</thinking>"),
    ThoughtMarks("◁think▷", "◁/think▷"),
    ThoughtMarks("<|begin_of_thought|>", "<|end_of_thought|>"),
    ThoughtMarks("[THINK]", "[/THINK]"),
    ThoughtMarks("<mm:think>", "</mm:think>"),
    ThoughtMarks("<seed:think>", "</seed:think>"),
    ThoughtMarks("<longcat_think>", "</longcat_think>"),
    ThoughtMarks("<|think:start|>", "<|think:end|>"),
    ThoughtMarks("<|START_THINKING|>", "<|END_THINKING|>"),
    ThoughtMarks("<|channel>thought", "<channel|>"),
    ThoughtMarks("<unused94>thought", "<unused95>"),
    ThoughtMarks("<|channel|>analysis<|message|>", "<|end|>"),
)
#: Marks before the content. Text before such a mark is a thought.
_CONTENT_OPENS = (
    "<answer>",
    "<|begin_of_solution|>",
    "<|START_RESPONSE|>",
    "<|channel|>final<|message|>",
)
#: All marks that are left out of the content.
CONTENT_MARKS = (
    *_CONTENT_OPENS,
    "</answer>",
    "<|end_of_solution|>",
    "<|END_RESPONSE|>",
    "<|begin_of_box|>",
    "<|end_of_box|>",
    "<|start|>assistant",
)
_CLOSES = {marks.open: marks.close for marks in THOUGHT_MARKS}
_AT_START = tuple(mark for marks in THOUGHT_MARKS if marks not in _ORDINARY_MARKS for mark in (marks.open, marks.close))


@dataclass(frozen=True)
class Split:
    """A part of an answer: reasoning, content or calls."""

    reasoning: str = ""
    content: str = ""
    #: Calls of functions, as `jobs.tools.calls_text` writes them.
    calls: str = ""
    #: Whether all content before this part was a thought that no mark had opened.
    retracts: bool = False


class ThoughtSplitter:
    """Splits a growing answer. The result does not depend on how the answer is cut into parts."""

    def __init__(
        self, known: Iterable[ThoughtMarks] = (), opened: ThoughtMarks | None = None, *, retracts: bool = True
    ) -> None:
        """Begin an answer.

        Args:
            known: The marks that the model's chat template or vocabulary holds.
            opened: The marks of a thought that the prompt has opened; None: the answer begins outside of a thought.
            retracts: Whether a mark that closes no thought makes a thought of all content before it. If not, as in a stream whose
                content has been sent, only the mark is left out.
        """
        marks = tuple(mark for one in known for mark in (one.open, one.close))
        self._retracts = retracts
        #: The mark that closes the thought; None: the answer is not within a thought.
        self._close = None if opened is None else opened.close
        #: Marks that are found where the content begins, and those that are found within it.
        self._at_start = (*marks, *_AT_START, *CONTENT_MARKS)
        self._within = (*marks, *CONTENT_MARKS) if marks else ()
        self._is_start = True
        self._held = ""
        self._has_thought = False
        #: White space of a thought that is dropped unless more of the thought follows.
        self._space = ""

    def add(self, text: str) -> list[Split]:
        """Split the text that follows. Text that may become a mark is held back."""
        self._held += text
        return list(self._advance(is_end=False))

    def finish(self) -> list[Split]:
        """Split the text that was held back: the answer has ended."""
        return list(self._advance(is_end=True))

    def _advance(self, *, is_end: bool) -> Iterator[Split]:
        while True:
            before, mark = self._next(is_end=is_end)
            if self._close is not None:
                before = self._trimmed(before)
                yield Split(reasoning=before)
            elif before:
                yield Split(content=before)
            if mark is None:
                return
            if self._close is None:
                yield from self._enter(mark)
            else:
                self._close, self._space, self._is_start = None, "", True

    def _enter(self, mark: str) -> Iterator[Split]:
        """Go on after a mark that is not within a thought."""
        # The model has shown that it uses marks.
        own = [(marks.open, marks.close) for marks in THOUGHT_MARKS if mark in (marks.open, marks.close)]
        self._within = tuple(dict.fromkeys((*self._within, *(one for pair in own for one in pair), *CONTENT_MARKS)))
        if mark in _CLOSES:
            self._close, self._space = _CLOSES[mark], "\n\n" if self._has_thought else ""
        elif (mark not in CONTENT_MARKS or mark in _CONTENT_OPENS) and self._retracts and not self._is_start:
            self._is_start = self._has_thought = True
            yield Split(retracts=True)

    def _next(self, *, is_end: bool) -> tuple[str, str | None]:
        """Take the text up to the next mark, and the mark; None: no mark is complete, and its beginning is held back."""
        if self._close is not None:
            return self._take((self._close,), is_end=is_end)
        if self._is_start:
            text = self._held.lstrip()
            mark = max((one for one in self._at_start if text.startswith(one)), key=len, default=None)
            if mark is not None:
                self._held = text[len(mark) :]
                return "", mark
            if not is_end and any(one.startswith(text) for one in self._at_start):
                return "", None
            self._is_start = False
        return self._take(self._within, is_end=is_end)

    def _take(self, marks: tuple[str, ...], *, is_end: bool) -> tuple[str, str | None]:
        found = [(at, mark) for mark in marks if (at := self._held.find(mark)) >= 0]
        if found:
            at, mark = min(found)
            before, self._held = self._held[:at], self._held[at + len(mark) :]
            return before, mark
        at = len(self._held) if is_end else open_from(self._held, marks)
        before, self._held = self._held[:at], self._held[at:]
        return before, None

    def _trimmed(self, text: str) -> str:
        """Return the next text of a thought, without the white space around the thought."""
        said = self._space + text if self._has_thought else (self._space + text).lstrip()
        kept = said.rstrip() if text.strip() else ""
        self._has_thought = self._has_thought or bool(kept)
        self._space = said[len(kept) :]
        return kept


def open_from(text: str, marks: tuple[str, ...]) -> int:
    """Return the index from which the text may be the beginning of a mark."""
    longest = max((len(mark) - 1 for mark in marks), default=0)
    for start in range(max(0, len(text) - longest), len(text)):
        if any(mark.startswith(text[start:]) for mark in marks):
            return start
    return len(text)


def split_thoughts(
    text: str, known: Iterable[ThoughtMarks] = (), opened: ThoughtMarks | None = None
) -> tuple[str, str]:
    """Return the reasoning and the content of a whole answer, both without the white space around them."""
    splitter, reasoning, content = ThoughtSplitter(known, opened), "", ""
    for part in (*splitter.add(text), *splitter.finish()):
        if part.retracts:
            reasoning, content = joined(reasoning, content), ""
        reasoning, content = reasoning + part.reasoning, content + part.content
    return reasoning.strip(), content.strip()


def joined(*thoughts: str) -> str:
    """Join thoughts, with an empty line between them."""
    return "\n\n".join(stripped for thought in thoughts if (stripped := thought.strip()))
