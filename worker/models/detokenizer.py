"""From token ids to text: a whole answer at once, or one that grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: What a decoder writes for bytes that are no UTF-8, or not yet.
_BROKEN = "�"
#: Ids without a settled text: more than any character has bytes. What is still broken after so many is no half character.
_LONGEST_CHARACTER = 8
#: A character lacks three bytes at most, and each id is one at least: only the last three may still become a part of one.
_HALF_CHARACTER = 3


def decode(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of a whole answer, without special tokens and the white space around it.

    All ids are decoded at once: a character whose bytes are spread over several tokens comes out whole, and bytes that are no
    UTF-8 come out as U+FFFD. mlx-vlm's own streaming detokeniser drops them.
    """
    return _plain(tokenizer, ids).strip()


class TextStream:
    """The text of a growing answer, up to the stop string that begins first; the same wherever the tokens' ends lie.

    It equals `decode` of the ids, cut: white space before the text is dropped, and white space at its end is held back until
    more text follows. Only bytes that are no UTF-8 may differ, where a decoder of byte fallback takes back the characters of
    the same run that came before them: here they stay.

    Only the last few ids are decoded anew for each one: those of the text that was settled last, because a token may look
    different at the beginning of a text, and those whose text is not settled. vLLM's and text-generation-inference's
    detokenisers do the same.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        #: The ids of the text that was settled last, then those that are not settled.
        self._window: list[int] = []
        self._settled = 0
        #: The text of the settled ids of the window.
        self._before = ""
        #: Text that cannot change any more, and how many pieces of it were taken.
        self._pieces: list[str] = []
        self._taken = 0
        #: Text after it that may be white space at the end, or become a stop string.
        self._held = ""
        #: Where in `_held` the first stop string begins.
        self._cut: int | None = None
        self._ended = False

    @property
    def stopped(self) -> bool:
        """Whether a stop string is there: also one that `add` did not end at, as another could have begun earlier."""
        return self._cut is not None

    def add(self, token: int) -> bool:
        """The next generated id. True: a stop string has matched, and the answer ends before it."""
        self._window.append(token)
        text = _plain(self._tokenizer, self._window)
        if len(text) > len(self._before) and not text.endswith(_BROKEN):
            self._settle(len(self._window), text)
        elif len(self._window) - self._settled > _LONGEST_CHARACTER:
            self._settle_what_is_broken(text)
        return self._ended

    def take(self) -> str:
        """What is new since the last call and can no longer change: nothing that may become a stop string, or the white space
        at an answer's end. After `finish`: the rest."""
        new = "".join(self._pieces[self._taken :])
        self._taken = len(self._pieces)
        return new

    def finish(self) -> str:
        """The whole text, without the white space around it."""
        if not self._ended:
            self._append(self._new_text(_plain(self._tokenizer, self._window), self._window[self._settled :]))
            self._end()
        return "".join(self._pieces)

    def _settle(self, count: int, text: str) -> None:
        """The text of the window's first ids is certain; they are what the next ones are decoded behind."""
        ids = self._window[self._settled : count]
        new = self._new_text(text, ids)
        self._window = self._window[self._settled :]
        self._settled = len(ids)
        self._before = _plain(self._tokenizer, ids)
        self._append(new)

    def _settle_what_is_broken(self, text: str) -> None:
        if len(text) <= len(self._before):
            # Special tokens, which have none.
            del self._window[self._settled : -_HALF_CHARACTER]
            return
        most = len(self._window) - _HALF_CHARACTER
        for count in range(most, self._settled, -1):
            first, rest = (_plain(self._tokenizer, ids) for ids in (self._window[:count], self._window[count:]))
            # Between two characters: one that was cut would show as two broken ones.
            if len(first) > len(self._before) and first + rest == text:
                return self._settle(count, first)
        whole = text.rstrip(_BROKEN)
        if len(whole) <= len(self._before):
            return self._settle(most, _plain(self._tokenizer, self._window[:most]))
        # Every token ends within a character: those before the last are whole all the same.
        new = whole[len(self._before) :]
        self._window = self._window[-_LONGEST_CHARACTER:]
        self._settled = len(self._window) - _HALF_CHARACTER
        self._before = _plain(self._tokenizer, self._window).rstrip(_BROKEN)
        return self._append(new)

    def _new_text(self, text: str, ids: list[int]) -> str:
        """The text of these ids behind the settled ones, given the text of both."""
        if text.startswith(self._before):
            return text[len(self._before) :]
        # Byte fallback decodes a run of bytes as a whole, or all of it as broken.
        return _plain(self._tokenizer, ids)

    def _append(self, text: str) -> None:
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
        """Where in `_held` a stop string may begin of which only a part is there."""
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        for start in range(max(0, len(self._held) - longest), len(self._held)):
            if any(stop.startswith(self._held[start:]) for stop in self._stop):
                return start
        return len(self._held)

    def _release(self, end: int) -> None:
        """Whatever comes before `end`, but for white space, is certain."""
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
