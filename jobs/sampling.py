"""Sampling: the choice of the next token, and the end of the answer."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from jobs.answer_format.response_format import Part
from jobs.request_defaults import DEFAULT_MAX_TOKENS, MAX_TOKENS

#: OpenAI's limit.
MAX_STOPS = 4
#: Characters of a stop string. A stream holds back text that may be the beginning of one.
MAX_STOP = 256
#: OpenAI's limit on the entries of `logit_bias`.
MAX_BIASES = 1024
StopString = Annotated[str, Field(min_length=1, max_length=MAX_STOP)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Bias = Annotated[float, Field(ge=-100.0, le=100.0, allow_inf_nan=False)]


class Sampling(Part):
    """The choice of the next token. The defaults are greedy decoding: the same input gives the same answer."""

    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=1, le=MAX_TOKENS)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0, allow_inf_nan=False)
    #: 0 means all tokens.
    top_k: int = Field(default=0, ge=0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0, allow_inf_nan=False)
    #: With a seed, a sampled answer is the same whatever else is in the batch.
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    #: The answer ends before the first of these strings.
    stop: Annotated[tuple[StopString, ...], Field(max_length=MAX_STOPS)] = ()
    #: Divides the positive logits of the tokens of the prompt and the answer, and multiplies the negative ones (Keskar et al.
    #: 2019, arXiv 1909.05858, as in transformers). Outside the limits float32 overflows.
    repetition_penalty: float = Field(default=1.0, ge=0.01, le=100.0, allow_inf_nan=False)
    #: Subtracted from the logit of a token of the answer: once, and once for each time the token occurs. OpenAI's meaning.
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0, allow_inf_nan=False)
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0, allow_inf_nan=False)
    #: Added to the logits of tokens, by the tokens' ids.
    logit_bias: dict[TokenId, Bias] = Field(default_factory=dict, max_length=MAX_BIASES)
    #: Report the log-probability of each token of the answer, and of the `top_logprobs` most likely tokens at its position.
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=20)

    @field_validator("stop", mode="before")
    @classmethod
    def _accept_one_stop(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("logit_bias")
    @classmethod
    def _put_biases_in_order(cls, value: dict[int, float]) -> dict[int, float]:
        # Equal requests have equal digests: neither the order nor a bias of 0 makes a difference.
        return {token: bias for token, bias in sorted(value.items()) if bias}

    @model_validator(mode="after")
    def _refuse_top_logprobs_alone(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise ValueError(f"top_logprobs is {self.top_logprobs}, but logprobs is off. Set logprobs to true.")
        return self

    @property
    def is_penalized(self) -> bool:
        """Whether the logits depend on earlier tokens."""
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1.0, 0.0, 0.0)
