"""Structured output: the tokens that a grammar allows next in an answer.

llguidance follows the grammar on the CPU and makes masks of plain booleans, so the logits may be on any device, Metal or not.
A mask takes tens of microseconds once the tokenizer has been converted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import EngineError, ModelError
from jobs.response_format import AnswerFormat, grammar

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer


class Grammars:
    """The grammars of one model's answers. May be used from any thread."""

    def __init__(self, tokenizer: Any, vocabulary: int, eos: frozenset[int]) -> None:
        """Args:
        vocabulary: The width of the model's logits, often more than the tokenizer has tokens.
        eos: The ids that end an answer.
        """
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._eos = frozenset(token for token in eos if token < vocabulary)
        self._lock = threading.Lock()

    def constraint(self, response_format: AnswerFormat | None) -> Constraint | None:
        """Return a new constraint at the beginning of an answer; None: the answer is free text.

        Raises:
            ModelError: The model's tokenizer cannot be used for structured output.
            EngineError: llguidance refuses the grammar.
        """
        text = grammar(response_format)
        if text is None:
            return None
        from llguidance import LLMatcher

        with self._lock:
            known = self._known_tokenizer
        return Constraint(LLMatcher(known, text, log_level=0), self._vocabulary, self._eos)

    @cached_property
    def _known_tokenizer(self) -> LLTokenizer:
        """llguidance's form of the tokenizer, made once: a vocabulary of 150,000 takes 1.5 s."""
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
                "Ask without response_format, or use a model that has a tokenizer.json."
            )
        if not self._eos:
            raise ModelError(
                "Structured output needs a model that can end its answer, and this one names no eos token."
            )
        width = max(self._vocabulary, len(tokenizer))
        return from_tokenizer(tokenizer, width, sorted(self._eos), LLTokenizer.json_slices())


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
