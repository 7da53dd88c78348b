"""Structured output: the tokens that may come next in an answer that is held to a grammar.

llguidance follows the grammar on the CPU, and its masks are plain booleans that are applied to logits wherever they are: the
same on Metal and without it. A mask takes tens of microseconds, once the tokenizer is known.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import EngineError, ModelError
from jobs.response_format import ResponseFormat, grammar

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer


class Grammars:
    """The grammars of one model's answers. May be used from any thread.

    `vocabulary` is the width of the model's logits, which is often more than the tokenizer has, and `eos` are the ids that
    end an answer.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, eos: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._eos = frozenset(token for token in eos if token < vocabulary)
        self._lock = threading.Lock()

    def constraint(self, response_format: ResponseFormat | None) -> Constraint | None:
        """A fresh one, at the beginning of its answer. None: the answer is free text. Raises ModelError, EngineError."""
        text = grammar(response_format)
        if text is None:
            return None
        from llguidance import LLMatcher

        with self._lock:
            known = self._known_tokenizer
        return Constraint(LLMatcher(known, text, log_level=0), self._vocabulary, self._eos)

    @cached_property
    def _known_tokenizer(self) -> LLTokenizer:
        """Made once: it takes 1.5 s for a vocabulary of 150,000."""
        from llguidance import LLTokenizer
        from llguidance.hf import from_tokenizer
        from transformers import PreTrainedTokenizerFast

        # mlx-lm wraps the tokenizer.
        tokenizer = getattr(self._tokenizer, "_tokenizer", None)
        if not isinstance(tokenizer, PreTrainedTokenizerFast):
            tokenizer = self._tokenizer
        if not isinstance(tokenizer, PreTrainedTokenizerFast):
            raise ModelError(
                f"Structured output needs a fast tokenizer, and the model's is a {type(tokenizer).__name__}. "
                "Ask without response_format, or take a model that has a tokenizer.json."
            )
        if not self._eos:
            raise ModelError(
                "Structured output needs a model that can end its answer, and this one names no eos token."
            )
        width = max(self._vocabulary, len(tokenizer))
        return from_tokenizer(tokenizer, width, sorted(self._eos), LLTokenizer.json_slices())


class Constraint:
    """Where one answer is in its grammar."""

    def __init__(self, matcher: LLMatcher, vocabulary: int, eos: frozenset[int]) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._eos = eos
        self._check("cannot be begun")

    @property
    def finished(self) -> bool:
        """Whether the answer is complete and nothing but its end may follow."""
        return self._matcher.is_stopped()

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next, (vocabulary,): those that end the answer where it is complete, and they alone after it.

        Raises EngineError when the grammar has become too complex to be followed.
        """
        if self.finished:
            mask = np.zeros(self._vocabulary, dtype=bool)
            mask[list(self._eos)] = True
            return mask
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check("cannot be followed")
        return np.unpackbits(bits, bitorder="little", count=self._vocabulary).view(bool)

    def accept(self, token: int) -> None:
        """Go on by a token. The end of a complete answer may come again and again. Raises EngineError for a refused one."""
        if self.finished:
            if token not in self._eos:
                raise EngineError(f"The answer is complete by its grammar: token {token} cannot follow.")
            return
        if not 0 <= token < self._vocabulary:
            raise EngineError(f"There is no token {token} in a vocabulary of {self._vocabulary}.")
        self._matcher.consume_token(token)
        self._check(f"does not allow token {token} here")

    def accept_all(self, tokens: Iterable[int]) -> None:
        """Take an answer up again after these."""
        for token in tokens:
            self.accept(token)

    def _check(self, trouble: str) -> None:
        if self._matcher.is_error():
            # Its first line is the reason; then comes the state of the parser, with all that was generated.
            reason = self._matcher.get_error().partition("\n")[0]
            raise EngineError(f"The grammar of the answer {trouble}: {reason}.")
