"""From a sequence's next token to its text, its text deltas and its outcome."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from jobs.store.result import Result
from jobs.tools import stored_calls
from worker.engine.answer_quality import judge
from worker.engine.sequences import LiveSequence, Outcome, TextDelta
from worker.engine.token_usage import token_usage
from worker.models.backends import Backend
from worker.models.failures import as_captionq_error
from worker.models.inputs import Prepared
from worker.models.text.call_splitter import CallSplitter
from worker.models.text.detokenizer import TextStream
from worker.sampling.token_texts import TokenTexts
from worker.sampling.tokens import Token

logger = logging.getLogger("captionq.engine")


class Answers:
    """The answers of one model's sequences."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @cached_property
    def _token_texts(self) -> TokenTexts:
        return TokenTexts(self._backend.tokenizer)

    def stream(self, prepared: Prepared, *, followed: bool) -> TextStream | None:
        """Return the stream in which stop strings are found and text deltas collected; None: neither is needed."""
        stop = prepared.sampling.stop
        if not (stop or followed or prepared.rules.calls):
            return None
        thinking = self._backend.thinking
        rules = prepared.rules
        # Content that has been published cannot be retracted.
        thoughts = None if rules.begins_with_answer else thinking.splitter(rules.thought, retracts=not followed)
        splitter = thoughts if rules.calls is None else CallSplitter(rules.calls.form, thoughts)
        return TextStream(thinking.tokenizer, stop, splitter)

    def advance(self, sequence: LiveSequence, token: Token) -> Outcome | None:
        """Add the token to the answer. Return the outcome of a sequence that ends with this token.

        A token that cannot be read fails only its own sequence.
        """
        try:
            return self._advance(sequence, token)
        except Exception as error:
            logger.exception("The answer of %s could not be read.", sequence.key)
            return failed(sequence, error)

    def deltas(self, sequences: Iterable[LiveSequence]) -> tuple[list[TextDelta], list[Outcome]]:
        """Return the new text of the followed sequences, and the outcomes of those whose text cannot be made."""
        deltas, failures = [], []
        for sequence in sequences:
            try:
                delta = self._delta(sequence) if sequence.followed else None
            except Exception as error:
                logger.exception("The text of %s cannot be published.", sequence.key)
                failures.append(failed(sequence, error))
            else:
                deltas += [delta] if delta is not None else []
        return deltas, failures

    def texts_so_far(self, sequences: Iterable[LiveSequence]) -> dict[str, str]:
        """Return the text of each sequence, without its thoughts. The sequences stay as they are."""
        return {sequence.key: self._text_so_far(sequence) for sequence in sequences}

    def _text_so_far(self, sequence: LiveSequence) -> str:
        try:
            text = self._backend.text(sequence.ids)
            if sequence.prepared.rules.response_format:
                return text
            return self._backend.thinking.split(text, sequence.prepared.rules.thought)[1]
        except Exception:
            # Tokens that cannot be read fail the sequence when it ends; a look at it must not.
            logger.warning("The text of %s cannot be shown.", sequence.key)
            return ""

    def _delta(self, sequence: LiveSequence) -> TextDelta | None:
        """Return the text since the last delta; None: there is none yet."""
        if sequence.stream is None:
            return None
        stream = sequence.stream
        reasoning, text, calls = stream.take_reasoning(), stream.take(), stream.take_calls()
        if not (reasoning or text or calls):
            return None
        delta = TextDelta(
            sequence.key,
            text,
            sequence.published_characters,
            self._logprobs(sequence, sequence.tokens[sequence.published_tokens :]) if text else None,
            reasoning,
            sequence.published_reasoning,
            calls,
            sequence.published_calls,
        )
        sequence.published_reasoning += len(reasoning)
        sequence.published_calls += len(calls)
        if text:
            sequence.published_tokens = len(sequence.tokens)
            sequence.published_characters += len(text)
        return delta

    def _advance(self, sequence: LiveSequence, token: Token) -> Outcome | None:
        now = time.perf_counter()
        sequence.first_token = sequence.first_token or now
        if token.id in self._backend.stops:
            return self._finish(sequence, "stop", now)
        sequence.tokens.append(token)
        if sequence.stream is not None and sequence.stream.add(token.id):
            return self._finish(sequence, "stop", now)
        if sequence.tokens_left <= 0:
            return self._finish(sequence, "length", now)
        return None

    def _finish(self, sequence: LiveSequence, reason: str, now: float) -> Outcome:
        stream, first_token = sequence.stream, sequence.first_token or now
        reasoning, text = self._split(sequence)
        calls = stored_calls(stream.calls) if stream is not None else []
        if stream is not None and stream.stopped:
            # Also when the limit came while another, longer stop string might still have begun before this one.
            reason = "stop"
        if calls:
            flaw = "cut_off" if reason == "length" else None
        else:
            flaw = judge(text, sequence.ids, reason, has_thoughts=bool(reasoning))
        result = Result(
            text=text,
            finish_reason=reason,
            **token_usage(sequence),
            # The pipeline knows the seconds of the preparation.
            preprocess_seconds=0.0,
            prefill_seconds=first_token - sequence.admitted,
            decode_seconds=now - first_token,
            # A flaw of the answer comes before one of its image.
            quality=flaw or sequence.prepared.image_flaw,
            reasoning=reasoning or None,
            tool_calls=calls or None,
            logprobs=self._logprobs(sequence, sequence.tokens),
            cache_key=sequence.prepared.cache_key,
        )
        return Outcome(sequence.key, result, tokens=tuple(sequence.tokens))

    def _split(self, sequence: LiveSequence) -> tuple[str, str]:
        """Return the reasoning and the text of an answer that has ended."""
        if sequence.stream is not None:
            text = sequence.stream.finish()
            return sequence.stream.reasoning, text
        text = self._backend.text(sequence.ids)
        rules = sequence.prepared.rules
        return ("", text) if rules.begins_with_answer else self._backend.thinking.split(text, rules.thought)

    def _logprobs(self, sequence: LiveSequence, tokens: Sequence[Token]) -> list[dict[str, Any]] | None:
        sampling = sequence.prepared.sampling
        if not sampling.logprobs:
            return None
        return self._token_texts.openai_logprobs(tokens, sampling.top_logprobs)


def failed(sequence: LiveSequence, error: Exception) -> Outcome:
    """Return the outcome of a sequence that ends with an error."""
    return Outcome(sequence.key, error=as_captionq_error(error))
