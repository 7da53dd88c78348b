"""How one model thinks: the marks of its thoughts, and the text in which they show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from worker.models.text.thoughts import CONTENT_MARKS, THOUGHT_MARKS, ThoughtMarks, ThoughtSplitter, split_thoughts

#: A control token within a mark.
_TOKENS = re.compile(r"<\|[^<>|]+\|>|<\|?[\w:/]+\|?>|\[/?[A-Z]+\]")


class ThinkingModel:
    """The thoughts of one model's answers."""

    def __init__(self, template: str, tokenizer: Any, call_marks: Sequence[str] = ()) -> None:
        """Find out how a model thinks; `call_marks`: the marks of its calls of functions, which are shown as text too."""
        added = set(tokenizer.get_added_vocab()) if hasattr(tokenizer, "get_added_vocab") else set()
        self.marks = tuple(
            marks
            for marks in THOUGHT_MARKS
            if any(mark in template or mark in added for mark in (marks.open, marks.close))
        )
        #: The tokenizer as the detokenizer takes it: marks of thoughts are text, also if they are special tokens.
        self.tokenizer = _with_visible_marks(tokenizer, self.marks, "".join(call_marks))

    def opened_by(self, prompt: str) -> ThoughtMarks | None:
        """Return the marks of the thought that the prompt ends in; None: the answer begins outside of a thought."""
        end = prompt.rstrip()
        return next((marks for marks in THOUGHT_MARKS if end.endswith(marks.open)), None)

    def splitter(self, opened: ThoughtMarks | None, *, retracts: bool) -> ThoughtSplitter:
        """Return a splitter for an answer as it grows; see `ThoughtSplitter`."""
        return ThoughtSplitter(self.marks, opened, retracts=retracts)

    def split(self, text: str, opened: ThoughtMarks | None) -> tuple[str, str]:
        """Return the reasoning and the content of a whole answer."""
        return split_thoughts(text, self.marks, opened)


def _with_visible_marks(tokenizer: Any, known: Sequence[ThoughtMarks], call_marks: str) -> Any:
    marks = [mark for one in known for mark in (one.open, one.close)] + list(CONTENT_MARKS)
    tokens = {token for mark in marks for token in _TOKENS.findall(mark)}
    added = getattr(tokenizer, "added_tokens_decoder", {}).items()
    special = {
        number: token.content
        for number, token in added
        if token.special and ((known and token.content in tokens) or token.content in call_marks)
    }
    return _MarkedText(tokenizer, special) if special else tokenizer


class _MarkedText:
    """A tokenizer that decodes the special tokens of marks as text."""

    def __init__(self, tokenizer: Any, marks: dict[int, str]) -> None:
        self._tokenizer = tokenizer
        self._marks = marks

    def decode(self, ids: Sequence[int], **options: Any) -> str:
        """Decode the ids, with each mark in its place."""
        runs = groupby(ids, key=self._marks.get)
        texts = ([mark for _ in run] if mark else [self._tokenizer.decode(list(run), **options)] for mark, run in runs)
        return "".join(part for text in texts for part in text)
