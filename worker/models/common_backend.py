"""The parts that the backends for vision and for text have in common: the prompt, its limits, grammars and decoding of ids."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobs.errors import InvalidRequestError
from jobs.requests import Request
from jobs.sampling import Sampling
from worker.features.feature_cache import FeatureCache
from worker.models import kv_cache
from worker.models.inputs import AnswerRules, Embedded, Prepared
from worker.models.loader import LoadedModel, vocabulary_of
from worker.models.reference import Reference, reference_of
from worker.models.text import detokenizer
from worker.models.text.chat_template import ChatTemplate
from worker.models.text.control_tokens import ControlTokens, ShieldedPrompt
from worker.models.text.prompt_limits import check_control_tokens, refuse_long_text, within_context
from worker.models.text.thinking_model import ThinkingModel
from worker.sampling.call_grammar import CallRules
from worker.sampling.constraint import Constraint
from worker.sampling.grammar import Grammars

#: Sequences of one prefill group at most, for models whose caches can be padded.
_LARGEST_GROUP = 64


class CommonBackend:
    """The base of both backends; see `worker.models.backends.Backend` for the methods."""

    def __init__(self, loaded: LoadedModel, language_model: Any, tokenizer: Any) -> None:
        self._loaded = loaded
        self.language_model = language_model
        self.tokenizer = tokenizer
        self.stops = loaded.eos
        self.group = _LARGEST_GROUP if kv_cache.can_pad(language_model) else 1
        self.shares_prefixes = kv_cache.can_share_prefix(language_model)
        self.whole_prompts = False
        self.max_prompt_tokens: int | None = None
        self.one_image = False
        self._chat_template = ChatTemplate(loaded.processor, loaded.config)
        self.thinking = ThinkingModel(self._chat_template.template, tokenizer, self._chat_template.call_marks)
        self._vocabulary = vocabulary_of(loaded) or len(tokenizer)
        self._grammars = Grammars(tokenizer, self._vocabulary, loaded.eos)
        # Tokenizers and processors keep state while they work.
        self._lock = threading.Lock()
        self._control_tokens = ControlTokens(loaded, self._chat_template)

    @property
    def feature_counts(self) -> Mapping[str, int]:
        """See `Backend`."""
        return {}

    def keep_features(self, cache: FeatureCache | None) -> None:
        """See `Backend`."""

    def refuse_long(self, texts: Sequence[str], limit: int) -> None:
        """See `Backend`."""
        refuse_long_text(self.tokenizer, self._lock, texts, limit)

    def reference(self, prepared: Prepared, tokens: int) -> Reference:
        """See `Backend`."""
        return reference_of(self._loaded, prepared, tokens)

    def recounted(self, prepared: Prepared, embedded: Embedded) -> Prepared:
        """See `Backend`."""
        return prepared

    def constraint(self, prepared: Prepared, generated: Sequence[int] = ()) -> Constraint | None:
        """See `Backend`."""
        constraint = self._grammars.constraint(prepared.rules.response_format, prepared.rules.calls)
        if constraint is not None:
            constraint.accept_all(generated)
        return constraint

    def text(self, ids: Sequence[int]) -> str:
        """See `Backend`."""
        return detokenizer.decode(self.thinking.tokenizer, ids)

    def _prompt(self, request: Request) -> tuple[ShieldedPrompt, AnswerRules]:
        """Return the prompt, and the rules of its answer."""
        conversation = self._chat_template.conversation(request.messages, request.tools)
        prompt = self._control_tokens.prompt(conversation.messages, conversation.definitions, thinks=request.thinking)
        check_control_tokens(len(prompt.ids), self._loaded.info.context_length)
        calls = None if request.tools is None else CallRules(conversation.call_form, request.tools)
        rules = AnswerRules(request.response_format, calls, self.thinking.opened_by(prompt.text))
        if rules.thought is not None and rules.begins_with_answer:
            text = f"{prompt.text.rstrip()}\n\n{rules.thought.close}\n\n"
            return replace(prompt, text=text), replace(rules, thought=None)
        return prompt, rules

    def _checked_sampling(self, sampling: Sampling, prompt_tokens: int, image_tokens: int) -> Sampling:
        check_biases(sampling, self._vocabulary)
        return within_context(self._loaded.info.context_length, prompt_tokens, image_tokens, sampling)


def check_biases(sampling: Sampling, vocabulary: int) -> None:
    """Raise InvalidRequestError for a bias of a token that the model does not have."""
    unknown = [token for token in sampling.logit_bias if token >= vocabulary]
    if unknown:
        raise InvalidRequestError(
            f"logit_bias names token {unknown[0]}, but the model's vocabulary ends at {vocabulary - 1}. Leave it out."
        )
