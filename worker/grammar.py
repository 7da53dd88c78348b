"""Answers of a given shape: at every step, the tokens that a grammar allows next.

llguidance does the work, on the CPU and in microseconds; the engine asks it while the device computes the logits. mlx-vlm's own
mask is a Metal kernel; this one is an array of booleans, the same on every device.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.errors import EngineError, ModelError
from jobs.response_format import ResponseFormat, grammar


class Grammars:
    """The grammars of one model's tokenizer. Safe to use from several threads."""

    def __init__(self, tokenizer: Any, vocabulary: int, eos: frozenset[int]) -> None:
        """`vocabulary`: the width of the logits, which may be more than the tokenizer has tokens."""
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._eos = eos
        self._compiled: Any = None
        self._lock = threading.Lock()

    def constraint(self, response_format: ResponseFormat | None) -> Constraint | None:
        """A fresh one for a row; None: any text will do. Raises ModelError, EngineError."""
        rules = grammar(response_format)
        if rules is None:
            return None
        from llguidance import LLMatcher

        return Constraint(LLMatcher(self._llguidance(), rules), self._vocabulary, self._eos)

    def _llguidance(self) -> Any:
        """llguidance's view of the tokenizer: walking 150,000 tokens takes a second, so it is kept."""
        import llguidance.hf

        with self._lock:
            if self._compiled is None:
                # mlx-lm wraps the tokenizer; the wrapper hands out what is asked of it, but is none itself.
                inner = getattr(self._tokenizer, "_tokenizer", self._tokenizer)
                inner = inner if hasattr(inner, "backend_tokenizer") else self._tokenizer
                try:
                    self._compiled = llguidance.hf.from_tokenizer(inner, eos_token=sorted(self._eos) or None)
                except ValueError as error:
                    raise ModelError(f"The model's tokenizer cannot be held to a grammar: {error}") from error
            return self._compiled


class Constraint:
    """Where one row stands in its grammar."""

    def __init__(self, matcher: Any, vocabulary: int, eos: frozenset[int]) -> None:
        """Raises EngineError when the grammar cannot be used with this tokenizer."""
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._eos = sorted(token for token in eos if token < vocabulary)
        self._check()

    def allowed(self) -> npt.NDArray[np.bool_]:
        """(vocabulary,): the tokens that may come next; those that end the answer when it is complete."""
        allowed = np.zeros(self._vocabulary, np.bool_)
        if self._matcher.is_stopped():
            allowed[self._eos] = True
            return allowed
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        self._check()
        width = min(len(bits), self._vocabulary)
        allowed[:width] = bits[:width]
        return allowed

    def accept(self, token: int) -> None:
        """The token that came next. Raises EngineError when the grammar refuses it."""
        if self._matcher.is_stopped():
            return
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineError(f"The grammar of the answer broke: {' '.join(self._matcher.get_error().split())}")
