"""The prefix cache: reused keys and values equal computed ones. Random weights forgive nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from tests.support.families import save_model
from tests.support.scenes import draw_many
from tests.worker.engine.test_exactness import IMAGE, request
from worker.engine.decode_batch import last_logits
from worker.engine.prefill.chunked_prefill import Prefill, Prefix
from worker.engine.prefill.prefix_cache import SHORTEST, PrefixCache
from worker.models.backends import VisionBackend
from worker.models.inputs import Embedded
from worker.models.loader import load

#: The common beginning of the prompts, after the beginning of their template.
BEGINNING = "Look here, and tell me: "


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> VisionBackend:
    """The backend of a model with deepstack features and positions of three axes."""
    return VisionBackend(load(str(save_model("qwen3_vl", tmp_path_factory.mktemp("models")))))


@pytest.fixture(scope="module")
def rows(backend: VisionBackend) -> list[Embedded]:
    """Prompts with one beginning and four ends of several lengths: text, a picture, and both."""
    picture = draw_many(1)[0].image.reduce(2)
    asked = [
        (request(BEGINNING + "what is it?"), []),
        (request(BEGINNING + "one two three four five six seven eight nine ten?"), []),
        (request(BEGINNING, IMAGE), [picture]),
        (request(BEGINNING, IMAGE, "What shapes are in this picture, and where are they?"), [picture]),
    ]
    return [backend.embed(backend.prepare(*one)) for one in asked]


def logits_of(
    backend: VisionBackend, rows: Sequence[Embedded], prefix: Prefix | None = None, tokens: int = 0
) -> np.ndarray[Any, Any]:
    """Return logits (prompts, 2, V): after each prompt, and after one more token."""
    prefill = Prefill(backend.language_model, rows, prefix, tokens)
    while not prefill.finished:
        prefill.step(16)
        mx.eval(prefill.pending)
    token = mx.array([[7]] * len(rows))
    more = backend.language_model(token, cache=prefill.batch_caches(), rope_deltas=prefill.rope_deltas())
    return np.stack([np.array(prefill.logits), np.array(last_logits(more))], axis=1)


def learnt(backend: VisionBackend, rows: Sequence[Embedded]) -> PrefixCache:
    """Return a prefix cache that has learnt these prompts."""
    prefixes = PrefixCache()
    prefill = Prefill(backend.language_model, rows)
    while not prefill.finished:
        prefill.step(4096)
    prefixes.learn(prefill)
    return prefixes


def off(given: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> float:
    """Return the largest distance of the given logits from the right ones, as a share of their spread."""
    return float((np.sqrt(np.mean((given - right) ** 2, axis=-1)) / right.std(axis=-1)).max())


def test_what_sequences_share_is_found_again(backend: VisionBackend, rows: list[Embedded]) -> None:
    """A prefix is found as far as all prompts share it."""
    prefixes = learnt(backend, rows[:2])
    known = prefixes.find(rows[2:])
    common = next(at for at, ids in enumerate(zip(*(row.ids for row in rows), strict=False)) if len(set(ids)) > 1)
    assert known.tokens == common > SHORTEST
    assert prefixes.find([rows[0]]).tokens >= common
    other = backend.embed(backend.prepare(request("Count to ten."), []))
    assert prefixes.find([*rows, other]).tokens < common


@pytest.mark.parametrize("which", [[0], [3], [0, 1], [2, 3], [0, 1, 2, 3]])
def test_a_prompt_whose_beginning_was_known_comes_out_as_if_it_were_not(
    backend: VisionBackend, rows: list[Embedded], which: list[int]
) -> None:
    """One prompt, and several of several lengths, also in the next step. A prefix that is off by a token would be noticed."""
    chosen = [rows[at] for at in which]
    known = learnt(backend, rows[:2]).find(chosen)
    assert known.prefix is not None
    right = logits_of(backend, chosen)
    assert off(logits_of(backend, chosen, known.prefix, known.tokens), right) < 1e-4
    shifted = [(_later(keys), _later(values)) for keys, values in known.prefix]
    assert off(logits_of(backend, chosen, shifted, known.tokens), right) > 0.01


def _later(array: Any) -> Any:
    """Return the array without its first token, and with its last token twice."""
    return mx.concatenate([array[:, :, 1:], array[:, :, -1:]], axis=2)
