"""The state of an answer that may be free text or calls: free until calls begin, then held to their grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from worker.sampling.constraint import Constraint


class OptionalCalls(Constraint):
    """The constraint of an answer that may go over from free text to calls, and then consists of calls to its end."""

    def __init__(
        self,
        trigger: str,
        texts: Mapping[int, bytes],
        begin: Callable[[str, list[int]], Constraint | None],
        vocabulary: int,
        *,
        only_at_start: bool,
    ) -> None:
        """Begin an answer.

        Args:
            trigger: the text that shows that calls follow.
            texts: the bytes of each token.
            begin: makes the constraint of calls from the text before the trigger within its first token, and the tokens of that
                text and the trigger; None: the tokens are not the beginning of calls.
            only_at_start: whether the trigger counts only at the beginning of the answer.
        """
        self._trigger = trigger.encode()
        self._texts = texts
        self._begin = begin
        self._any = np.ones(vocabulary, dtype=bool)
        self._only_at_start = only_at_start
        self._calls: Constraint | None = None
        #: The last tokens, as many as the trigger may have begun in.
        self._window: list[int] = []
        #: Whether there was text before these tokens.
        self._said_text = False

    @property
    def finished(self) -> bool:
        """Whether the calls are complete."""
        return self._calls is not None and self._calls.finished

    def allowed(self) -> NDArray[np.bool_]:
        """Return the mask (vocabulary,) of the tokens that may come next."""
        return self._any if self._calls is None else self._calls.allowed()

    def accept(self, token: int) -> None:
        """Advance by a token."""
        if self._calls is not None:
            return self._calls.accept(token)
        self._window.append(token)
        text = b"".join(self._bytes_of(one) for one in self._window)
        if (at := text.find(self._trigger)) < 0 or (self._only_at_start and (self._said_text or text[:at].strip())):
            return self._shorten(len(text))
        while at >= len(first := self._bytes_of(self._window[0])):
            at -= len(first)
            del self._window[0]
        self._calls = self._begin(first[:at].decode(errors="replace"), self._window)
        self._window = []
        self._said_text = True

    def _shorten(self, length: int) -> None:
        """Drop the tokens that are too far back for the trigger to have begun in them."""
        while self._window and length - len(first := self._bytes_of(self._window[0])) >= len(self._trigger):
            length -= len(first)
            self._said_text = self._said_text or bool(first.strip())
            del self._window[0]

    def _bytes_of(self, token: int) -> bytes:
        return self._texts.get(token, b"")
