"""Structured output: the tokens that a grammar allows next in an answer.

llguidance follows the grammar on the CPU and makes masks of plain booleans, so the logits may be on any device, Metal or not.
A mask takes tens of microseconds once the tokenizer has been converted.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from jobs.answer_format.response_format import AnswerFormat, VocabularyFormat, grammar
from jobs.errors import EngineError, ModelError
from worker.sampling.call_constraint import OptionalCalls
from worker.sampling.call_grammar import CallRules, calls_grammar
from worker.sampling.constraint import Constraint
from worker.sampling.keywords import KeywordConstraint, Keywords

if TYPE_CHECKING:
    from llguidance import LLTokenizer


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
        # Every job of a folder asks for the same keywords.
        self._keywords = lru_cache(maxsize=8)(self._make_keywords)

    def constraint(self, response_format: AnswerFormat | None, calls: CallRules | None = None) -> Constraint | None:
        """Return a new constraint at the beginning of an answer; None: the answer is free text.

        Args:
            calls: the calls that the answer may have; None: none.

        Raises:
            ModelError: The model's tokenizer cannot be used for structured output.
            EngineError: llguidance refuses the grammar.
        """
        if calls is not None:
            return self._of_calls(calls, response_format)
        if isinstance(response_format, VocabularyFormat):
            return KeywordConstraint(self._keywords(response_format), self._vocabulary, self._eos)
        text = grammar(response_format)
        if text is None:
            return None
        return self._following(text)

    def _of_calls(self, calls: CallRules, answer: AnswerFormat | None) -> Constraint:
        special = self._special_tokens_in(calls)
        if calls.tools.required or answer is not None:
            return self._following(calls_grammar(calls, special, answer=None if calls.tools.required else answer))

        # A grammar that cannot be followed is refused before the answer begins.
        self._following(calls_grammar(calls, special))

        def begin(before: str, tokens: list[int]) -> Constraint | None:
            constraint = self._following(calls_grammar(calls, special, before=before))
            try:
                constraint.accept_all(tokens)
            except EngineError:
                # Text that only looks like the beginning of a call.
                return None
            return constraint

        self._tokenizer_for_grammars()
        with self._lock:
            texts = self._texts
        form = calls.form
        return OptionalCalls(form.trigger, texts, begin, self._vocabulary, only_at_start=form.only_at_start)

    def _following(self, text: str) -> Constraint:
        from llguidance import LLMatcher

        return Constraint(LLMatcher(self._tokenizer_for_grammars(), text, log_level=0), self._vocabulary, self._eos)

    def _special_tokens_in(self, calls: CallRules) -> dict[str, int]:
        known = self._tokenizer_for_grammars()
        words = "".join(calls.form.marks)
        added = getattr(self._tokenizer, "added_tokens_decoder", {}).items()
        return {
            token.content: number
            for number, token in added
            if token.content in words and known.is_special_token(number)
        }

    @cached_property
    def _texts(self) -> dict[int, bytes]:
        known = self._known_tokenizer
        return {token: known.decode_bytes([token]) for token in range(known.vocab_size)}

    def _make_keywords(self, vocabulary_format: VocabularyFormat) -> Keywords:
        known = self._tokenizer_for_grammars()
        with self._lock:
            return Keywords(known, self._tokens_by_bytes, vocabulary_format)

    @cached_property
    def _tokens_by_bytes(self) -> dict[bytes, list[int]]:
        tokens: defaultdict[bytes, list[int]] = defaultdict(list)
        for token, text in self._texts.items():
            tokens[text].append(token)
        return dict(tokens)

    def _tokenizer_for_grammars(self) -> LLTokenizer:
        with self._lock:
            return self._known_tokenizer

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
                "Ask without response_format and tools, or use a model that has a tokenizer.json."
            )
        if not self._eos:
            raise ModelError(
                "Structured output needs a model that can end its answer, and this one names no eos token."
            )
        width = max(self._vocabulary, len(tokenizer))
        return from_tokenizer(tokenizer, width, sorted(self._eos), LLTokenizer.json_slices())
