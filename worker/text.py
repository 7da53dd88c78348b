"""From token ids to text: a whole answer at once, or one that grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: What a decoder writes for bytes that are no UTF-8, or not yet.
_BROKEN = "�"
#: Ids that a character may be spread over. What is still broken after so many stays broken.
_LONGEST_CHARACTER = 8


def decode(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of a whole answer, without special tokens and the white space around it.

    All ids are decoded at once: a character whose bytes are spread over several tokens comes out whole, and bytes that are no
    UTF-8 come out as U+FFFD. mlx-vlm's own streaming detokeniser drops them.
    """
    return _plain(tokenizer, ids).strip()


class TextStream:
    """The text of a growing answer, up to the first of its stop strings.

    Only the last few ids are decoded anew for each one: those of the text that was settled last, because a token may look
    different at the beginning of a text, and those whose text is not settled.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        #: The ids of the text that was settled last, then those that are not settled.
        self._window: list[int] = []
        self._settled = 0
        self._text = ""
        self._taken = 0
        self._stopped = False

    def add(self, token: int) -> bool:
        """The next generated id. True: a stop string has matched, and the answer ends before it."""
        self._window.append(token)
        old = _plain(self._tokenizer, self._window[: self._settled])
        new = _plain(self._tokenizer, self._window)
        pending = len(self._window) - self._settled
        if len(new) > len(old) and (not new.endswith(_BROKEN) or pending > _LONGEST_CHARACTER):
            self._window = self._window[self._settled :]
            self._settled = len(self._window)
            self._append(new[len(old) :])
        return self._stopped

    def take(self) -> str:
        """What is new since the last call and can no longer change: nothing that may become a stop string, or the white space
        at an answer's end."""
        start = self._taken or len(self._text) - len(self._text.lstrip())
        end = len(self._text) if self._stopped else len(self._text) - self._held_back()
        end = min(end, len(self._text[:end].rstrip()))
        if end <= start:
            return ""
        self._taken = end
        return self._text[start:end]

    def finish(self) -> str:
        """The whole text, without the white space around it."""
        if not self._stopped:
            tail = _plain(self._tokenizer, self._window)[len(_plain(self._tokenizer, self._window[: self._settled])) :]
            self._window, self._settled = [], 0
            self._append(tail)
        return self._text.strip()

    def _append(self, text: str) -> None:
        # A stop string that ends in the new text begins at most its own length before it.
        start = max(0, len(self._text) - max((len(stop) for stop in self._stop), default=0))
        self._text += text
        found = [at for stop in self._stop if (at := self._text.find(stop, start)) >= 0]
        if found:
            self._text = self._text[: min(found)]
            self._stopped = True

    def _held_back(self) -> int:
        """How many characters at the end may be the beginning of a stop string."""
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        for count in range(min(longest, len(self._text)), 0, -1):
            if any(stop.startswith(self._text[-count:]) for stop in self._stop):
                return count
        return 0


def _plain(tokenizer: Any, ids: Sequence[int]) -> str:
    # Clean-up would remove the space before punctuation, in code and JSON too.
    text: str = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text
