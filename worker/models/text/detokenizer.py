"""Text from token ids: of a whole answer at once, or of a growing answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from worker.models.text.call_splitter import CallSplitter
from worker.models.text.thoughts import Split, ThoughtSplitter, joined

#: The character that a decoder writes for bytes that are not UTF-8, or not complete yet.
_BROKEN = "�"
#: Ids without a settled text, more than any character has bytes. Text still broken after this many is no half character.
_LONGEST_CHARACTER = 8
#: Ids at the end that may still become part of a character: it lacks at most three bytes, and each id is at least one byte.
_HALF_CHARACTER = 3


def decode(tokenizer: Any, ids: Sequence[int]) -> str:
    """Return the text of a whole answer, without special tokens and the white space around it.

    All ids are decoded at once: a character whose bytes are spread over several tokens comes out whole, and bytes that are not
    UTF-8 come out as U+FFFD. mlx-vlm's own streaming detokenizer drops them.
    """
    return _plain(tokenizer, ids).strip()


class TextStream:
    """The text of a growing answer, up to the stop string that begins first. Token boundaries do not change it.

    The text equals `decode` of the ids, cut at the stop string: white space before it is dropped, and white space at its end is
    held back until more text follows. Only bytes that are not UTF-8 may differ: a decoder of byte fallback takes back the
    characters of the same run that came before them, and a stream keeps them.

    For each new id only the last few ids are decoded again: the ids of the text that was settled last, because a token may look
    different at the beginning of a text, and the ids whose text is not settled. vLLM's and text-generation-inference's
    detokenizers do the same.
    """

    def __init__(
        self, tokenizer: Any, stop: Sequence[str] = (), splitter: ThoughtSplitter | CallSplitter | None = None
    ) -> None:
        """Begin a text; `splitter`: takes thoughts and calls out of it, in which no stop string counts. None: all is text."""
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._splitter = splitter
        #: The thoughts, and the number of their characters that were taken.
        self._reasoning = ""
        self._taken_reasoning = 0
        #: The calls, and the number of their characters that were taken.
        self._calls = ""
        self._taken_calls = 0
        #: The ids of the text that was settled last, then the ids without a settled text.
        self._window: list[int] = []
        self._settled = 0
        #: The text of the settled ids of the window.
        self._before = ""
        #: Text that can no longer change, and the number of its pieces that were taken.
        self._pieces: list[str] = []
        self._taken = 0
        #: Later text that may be white space at the answer's end, or become a stop string.
        self._held = ""
        #: The index in `_held` at which the first stop string begins; None: no stop string.
        self._cut: int | None = None
        self._ended = False

    @property
    def stopped(self) -> bool:
        """Whether the text has a stop string, also one at which `add` did not end because another may have begun earlier."""
        return self._cut is not None

    def add(self, token: int) -> bool:
        """Add the next generated id. Returns True if a stop string has matched: the answer ends before it."""
        self._window.append(token)
        text = _plain(self._tokenizer, self._window)
        if len(text) > len(self._before) and not text.endswith(_BROKEN):
            self._settle(len(self._window), text)
        elif len(self._window) - self._settled > _LONGEST_CHARACTER:
            self._settle_broken_text(text)
        return self._ended

    def take(self) -> str:
        """Return the text that is new since the last call and can no longer change; after `finish` all of the rest.

        Text that may become a stop string, or white space at the answer's end, is held back.
        """
        new = "".join(self._pieces[self._taken :])
        self._taken = len(self._pieces)
        return new

    @property
    def reasoning(self) -> str:
        """The thoughts so far."""
        return self._reasoning

    def take_reasoning(self) -> str:
        """Return the thoughts that are new since the last call."""
        new = self._reasoning[self._taken_reasoning :]
        self._taken_reasoning = len(self._reasoning)
        return new

    @property
    def calls(self) -> str:
        """The calls so far, as `jobs.tools.calls_text` writes them."""
        return self._calls

    def take_calls(self) -> str:
        """Return the text of calls that is new since the last call."""
        new = self._calls[self._taken_calls :]
        self._taken_calls = len(self._calls)
        return new

    def finish(self) -> str:
        """End the text. Returns all of it, without the white space around it."""
        if not self._ended:
            self._append(self._new_text(_plain(self._tokenizer, self._window), self._window[self._settled :]))
        if not self._ended and self._splitter is not None:
            self._sort(self._splitter.finish())
        if not self._ended:
            self._end()
        return "".join(self._pieces)

    def _settle(self, count: int, text: str) -> None:
        """Settle `text`, the text of the window's first `count` ids; the next ids are decoded after them."""
        ids = self._window[self._settled : count]
        new = self._new_text(text, ids)
        self._window = self._window[self._settled :]
        self._settled = len(ids)
        self._before = _plain(self._tokenizer, ids)
        self._append(new)

    def _settle_broken_text(self, text: str) -> None:
        if len(text) <= len(self._before):
            # Special tokens have no text.
            del self._window[self._settled : -_HALF_CHARACTER]
            return
        most = len(self._window) - _HALF_CHARACTER
        for count in range(most, self._settled, -1):
            first, rest = (_plain(self._tokenizer, ids) for ids in (self._window[:count], self._window[count:]))
            # The cut is between two characters: a cut within one would show as two broken characters.
            if len(first) > len(self._before) and first + rest == text:
                return self._settle(count, first)
        whole = text.rstrip(_BROKEN)
        if len(whole) <= len(self._before):
            return self._settle(most, _plain(self._tokenizer, self._window[:most]))
        # Every token ends within a character, but the characters before the last one are whole.
        new = whole[len(self._before) :]
        self._window = self._window[-_LONGEST_CHARACTER:]
        self._settled = len(self._window) - _HALF_CHARACTER
        self._before = _plain(self._tokenizer, self._window).rstrip(_BROKEN)
        return self._append(new)

    def _new_text(self, text: str, ids: list[int]) -> str:
        """Return the text of these ids, given `text`: that of the settled ids and of these."""
        if text.startswith(self._before):
            return text[len(self._before) :]
        # Byte fallback decodes a run of bytes as a whole, or the whole run as broken.
        return _plain(self._tokenizer, ids)

    def _append(self, text: str) -> None:
        if self._splitter is None:
            self._append_content(text)
        else:
            self._sort(self._splitter.add(text))

    def _sort(self, splits: Sequence[Split]) -> None:
        for split in splits:
            if split.retracts:
                self._reasoning = joined(self._reasoning, "".join(self._pieces) + self._held)
                self._pieces, self._taken, self._held, self._cut = [], 0, "", None
            self._reasoning += split.reasoning
            self._calls += "" if self._ended else split.calls
            if split.content and not self._ended:
                self._append_content(split.content)

    def _append_content(self, text: str) -> None:
        self._held += text
        found = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            self._cut = min(found)
        open_from = self._open_from()
        if self._cut is not None and self._cut <= open_from:
            self._end()
        else:
            self._release(open_from)

    def _open_from(self) -> int:
        """Return the index in `_held` at which a stop string may have begun without being complete."""
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        for start in range(max(0, len(self._held) - longest), len(self._held)):
            if any(stop.startswith(self._held[start:]) for stop in self._stop):
                return start
        return len(self._held)

    def _release(self, end: int) -> None:
        """Move the text before `end`, without the white space there, to the pieces that can no longer change."""
        certain = self._held[:end].rstrip()
        if certain:
            self._held = self._held[len(certain) :]
            self._cut = None if self._cut is None else self._cut - len(certain)
            self._pieces.append(certain if self._pieces else certain.lstrip())

    def _end(self) -> None:
        self._release(len(self._held) if self._cut is None else self._cut)
        self._held = ""
        self._ended = True


def _plain(tokenizer: Any, ids: Sequence[int]) -> str:
    # Clean-up would remove the space before punctuation, in code and JSON too.
    text: str = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text
