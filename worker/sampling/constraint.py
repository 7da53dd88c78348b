"""The state of one answer in its grammar: the tokens that may come next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jobs.errors import EngineError

if TYPE_CHECKING:
    from llguidance import LLMatcher


class Constraint:
    """The state of one answer in its grammar."""

    def __init__(self, matcher: LLMatcher, vocabulary: int, eos: frozenset[int]) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._eos = eos
        self._check("cannot be begun")

    @property
    def finished(self) -> bool:
        """Whether the answer is complete, so that only the end of the answer may follow."""
        return self._matcher.is_stopped()

    def allowed(self) -> NDArray[np.bool_]:
        """Return the mask (vocabulary,) of the tokens that may come next. After a complete answer only the ids of `eos` may.

        Raises EngineError if the grammar has become too complex to be followed.
        """
        if self.finished:
            mask = np.zeros(self._vocabulary, dtype=bool)
            mask[list(self._eos)] = True
            return mask
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check("cannot be followed")
        return np.unpackbits(bits, bitorder="little", count=self._vocabulary).view(bool)

    def accept(self, token: int) -> None:
        """Advance by a token. The end of a complete answer may be repeated.

        Raises EngineError if the grammar does not allow the token.
        """
        if self.finished:
            if token not in self._eos:
                raise EngineError(f"The answer is complete by its grammar: token {token} cannot follow.")
            return
        if not 0 <= token < self._vocabulary:
            raise EngineError(f"There is no token {token} in a vocabulary of {self._vocabulary}.")
        self._matcher.consume_token(token)
        self._check(f"does not allow token {token} here")

    def accept_all(self, tokens: Iterable[int]) -> None:
        """Advance by the tokens of an answer that is taken up again."""
        for token in tokens:
            self.accept(token)

    def _check(self, trouble: str) -> None:
        if self._matcher.is_error():
            # The first line is the reason; the parser's state follows, with all generated text.
            reason = self._matcher.get_error().partition("\n")[0]
            raise EngineError(f"The grammar of the answer {trouble}: {reason}.")
