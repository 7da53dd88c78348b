"""The question of a flawed answer with other settings. The same question and answers always give the same settings."""

from __future__ import annotations

from jobs.request_defaults import MAX_TOKENS
from jobs.requests import Request
from jobs.sampling import Sampling

#: Added to the repetition penalty after a loop, up to the highest one: higher ones forbid common words.
PENALTY_STEP = 0.1
HIGHEST_PENALTY = 1.3
#: Temperatures at least: a little variety leads out of a loop, and more of it out of silence or a refusal.
LOOP_TEMPERATURE = 0.3
REFUSAL_TEMPERATURE = 0.5


def changed_question(request: Request, quality: str | None, completion_tokens: int) -> Request | None:
    """Return the request with the settings that may mend the flaw; None: no settings can.

    Args:
        request: as it was asked.
        quality: the flaw of its answer; None: another answer is wanted although no flaw was found.
        completion_tokens: of the answer.
    """
    sampling = _changed(request.sampling, quality, completion_tokens)
    return None if sampling is None else request.model_copy(update={"sampling": sampling})


def _changed(sampling: Sampling, quality: str | None, completion_tokens: int) -> Sampling | None:
    match quality:
        case "cut_off":
            # An answer that is shorter than its limit was ended by the context, which stays as long as it is.
            if completion_tokens < sampling.max_tokens or sampling.max_tokens >= MAX_TOKENS:
                return None
            return sampling.model_copy(update={"max_tokens": min(2 * sampling.max_tokens, MAX_TOKENS)})
        case "repetition":
            penalty = min(max(1.0, sampling.repetition_penalty) + PENALTY_STEP, HIGHEST_PENALTY)
            return _varied(sampling, LOOP_TEMPERATURE, max(penalty, sampling.repetition_penalty))
        case "truncated_image":
            return None
        case _:
            return _varied(sampling, REFUSAL_TEMPERATURE, sampling.repetition_penalty)


def _varied(sampling: Sampling, temperature: float, penalty: float) -> Sampling:
    """Sample at this temperature at least, with the next seed."""
    seed = 0 if sampling.seed is None else (sampling.seed + 1) % 2**63
    values = {"temperature": max(sampling.temperature, temperature), "seed": seed}
    return sampling.model_copy(update=values | {"repetition_penalty": penalty})
