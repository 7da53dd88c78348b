"""Keywords of a vocabulary as an answer: the grammar of one keyword, without the tokens that lead only to keywords used before.

A grammar of the keywords that are left would be compiled for each keyword: 25 ms for 5,000. The grammar of all is compiled once,
and the few tokens of the used keywords are taken out of its mask.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jobs.answer_format.response_format import VocabularyFormat
from jobs.answer_format.vocabulary import keyword_grammar, keyword_of
from jobs.errors import EngineError
from worker.sampling.constraint import Constraint

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_COMMA = b","


class Keywords:
    """The keywords of one vocabulary for one tokenizer."""

    def __init__(
        self, tokenizer: LLTokenizer, tokens: Mapping[bytes, Sequence[int]], vocabulary_format: VocabularyFormat
    ) -> None:
        """Args:
        tokenizer: llguidance's form of it.
        tokens: the ids of the tokens with these bytes.
        vocabulary_format: has the words.
        """
        self.tokenizer = tokenizer
        self._tokens = tokens
        self._words = vocabulary_format.words
        self._sorted = sorted({keyword_of(entry).encode() for entry in self._words})
        #: The number of keywords of the longest answer.
        self.most = min(vocabulary_format.max_keywords, len(self._sorted))
        self._matchers: dict[tuple[bool, bool], LLMatcher] = {}

    def matcher(self, position: int) -> LLMatcher:
        """Return a matcher of the keyword at this position, with the comma after it, whichever keywords were used before."""
        from llguidance import LLMatcher

        key = is_first, is_last = position == 0, position + 1 >= self.most
        if key not in self._matchers:
            text = keyword_grammar(self._words, is_first=is_first, is_last=is_last)
            self._matchers[key] = LLMatcher(self.tokenizer, text, log_level=0)
        return self._matchers[key].deep_copy()

    def forbidden(self, begun: bytes, used: Sequence[bytes]) -> Iterator[int]:
        """Yield the tokens that lead to no keyword but used ones. `begun`: the keyword so far, with the space before it."""
        space = b" " if used else b""
        for word in used:
            whole = space + word + _COMMA
            if not whole.startswith(begun):
                continue
            first = max(len(space) + self._shared(word, used), len(begun)) + 1
            for end in range(first, len(whole) + 1):
                yield from self._tokens.get(whole[len(begun) : end], ())

    def _shared(self, word: bytes, used: Sequence[bytes]) -> int:
        """Return how many bytes of a keyword begin another keyword that is not used: that of the neighbours in their order."""
        place = bisect_left(self._sorted, word)
        before = next(
            (one for one in reversed(self._sorted[max(0, place - len(used)) : place]) if one not in used), b""
        )
        after = next((one for one in self._sorted[place : place + len(used) + 1] if one not in used), b"")
        return max(_shared_length(word, before), _shared_length(word, after))


class KeywordConstraint(Constraint):
    """The state of an answer that is a list of keywords of a vocabulary, each once."""

    def __init__(self, keywords: Keywords, vocabulary: int, eos: frozenset[int]) -> None:
        self._keywords = keywords
        self._used: list[bytes] = []
        #: The tokens of the keyword that is being written.
        self._tokens: list[int] = []
        super().__init__(keywords.matcher(0), vocabulary, eos)

    def allowed(self) -> NDArray[np.bool_]:
        """See `Constraint`."""
        mask = super().allowed()
        if not self.finished and self._used:
            mask[[token for token in self._forbidden() if token < len(mask)]] = False
        return mask

    def accept(self, token: int) -> None:
        """See `Constraint`. After the comma behind a keyword, the next one may be any keyword that is not used yet."""
        if not self.finished and self._used and token in self._forbidden():
            raise EngineError(f"The answer has the keyword already to which token {token} leads.")
        super().accept(token)
        if token in self._eos:
            return
        self._tokens.append(token)
        begun = self._begun()
        if self._matcher.is_stopped() and begun.endswith(_COMMA):
            self._used.append(begun.strip(b" ,"))
            self._tokens = []
            self._matcher = self._keywords.matcher(len(self._used))

    def _begun(self) -> bytes:
        return self._keywords.tokenizer.decode_bytes(self._tokens)

    def _forbidden(self) -> set[int]:
        begun = self._begun()
        forbidden = set(self._keywords.forbidden(begun, self._used))
        return forbidden | self._eos if begun[1:] in self._used else forbidden


def _shared_length(first: bytes, second: bytes) -> int:
    """Return the number of bytes that both begin with."""
    return next(
        (at for at, (one, other) in enumerate(zip(first, second, strict=False)) if one != other),
        min(len(first), len(second)),
    )
