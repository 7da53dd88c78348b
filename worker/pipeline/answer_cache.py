"""Keys of the result cache: equal only for the same model files, prompt, pixels and deterministic choice of tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from jobs.requests import Request
from jobs.store.store import Result
from worker.models.inputs import Prepared

#: A function that finds the answer for a key; None: there is none.
FindAnswer = Callable[[str], Result | None]


def question_key(model: str, request: Request) -> str:
    """Return a key that is equal for requests that differ only in their images. `model`: as in `cache_key`."""
    texts = [(message.role, message.texts) for message in request.messages]
    asked = (model, texts, request.sampling.model_dump_json(), repr(request.response_format))
    return hashlib.sha256(repr(asked).encode()).hexdigest()


def cache_key(model: str, request: Request, prepared: Prepared) -> str | None:
    """Return the key of a request; None: its answer may differ the next time, or the client wants a new one.

    Args:
        model: the fingerprint of the model's files and of the libraries that run it.
        request: as it was asked.
        prepared: the request's ids, and digests of its pixels as the model gets them.
    """
    sampling = prepared.sampling
    deterministic = sampling.temperature == 0 or sampling.seed is not None
    if not (request.cache and deterministic) or sampling.logprobs or request.choices > 1:
        return None
    asked = (
        sampling.model_dump_json(),
        repr(request.response_format),
        *([repr(request.tools)] if request.tools else []),
    )
    digest = hashlib.sha256(repr((model, asked, prepared.image_keys)).encode())
    digest.update(np.asarray(prepared.ids, dtype=np.int64).tobytes())
    return digest.hexdigest()
