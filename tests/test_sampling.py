"""Sampling rows of a shared batch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from jobs.requests import Sampling
from tests.scenes import draw_many
from tests.test_engine import ask, run
from worker.backends import VisionBackend
from worker.engine import Engine
from worker.loader import load
from worker.sampling import GumbelSampler, logits_processors

LOGITS = mx.log(mx.array([[0.5, 0.25, 0.15, 0.07, 0.03]]))


def drawn(**sampling: Any) -> Counter[int]:
    """How often each of the five tokens is chosen."""
    sampler = GumbelSampler(Sampling(**{"temperature": 1.0, "seed": 5, **sampling}))
    return Counter(int(np.array(mx.argmax(sampler(None, LOGITS), axis=-1))[0]) for _ in range(4000))


def test_greedy_rows_have_no_processor() -> None:
    """They cost nothing and cannot be disturbed."""
    assert logits_processors(Sampling()) is None


def test_samples_follow_the_distribution() -> None:
    """Four thousand draws at temperature 1 against the probabilities."""
    counts = drawn()
    shares = np.array([counts[token] for token in range(5)]) / 4000
    assert np.abs(shares - [0.5, 0.25, 0.15, 0.07, 0.03]).max() < 0.03


def test_a_low_temperature_sharpens() -> None:
    """At 0.5 the probabilities are squared."""
    assert drawn(temperature=0.5)[0] / 4000 == pytest.approx(0.25 / 0.3434, abs=0.03)


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        ({"top_k": 2}, {0, 1}),
        ({"top_k": 5}, {0, 1, 2, 3, 4}),
        ({"top_p": 0.74}, {0, 1}),
        ({"top_p": 0.76}, {0, 1, 2}),
        ({"top_p": 0.1}, {0}),
        ({"min_p": 0.25}, {0, 1, 2}),
        ({"top_k": 3, "top_p": 0.6}, {0, 1}),
    ],
)
def test_excluded_tokens_are_never_drawn(sampling: dict[str, float], possible: set[int]) -> None:
    """top_k, top_p and min_p, alone and together."""
    assert set(drawn(**sampling)) == possible


def test_a_seeded_row_is_the_same_whatever_its_neighbours_are() -> None:
    """Alone, and among greedy and other sampled rows that join before and after it; the greedy ones stay greedy."""
    backend = VisionBackend(load("demo"))
    pictures = draw_many(6)
    hot: dict[str, Any] = {"temperature": 2.0, "seed": 3, "max_tokens": 24}
    seeded = backend.prepare(ask("Describe this image.", **hot), [pictures[0].image])
    by_itself = run(Engine(backend), {"seeded": seeded})["seeded"]
    rows = {
        "other": backend.prepare(
            ask("Describe this image.", temperature=2.0, seed=4, max_tokens=24), [pictures[0].image]
        ),
        **{f"greedy-{n}": backend.prepare(ask("Describe this image."), [pictures[n].image]) for n in range(1, 4)},
        "seeded": seeded,
        **{f"greedy-{n}": backend.prepare(ask("Describe this image."), [pictures[n].image]) for n in range(4, 6)},
    }
    finished = run(Engine(backend, slots=4), rows, stagger=2)
    assert finished["seeded"].token_ids == by_itself.token_ids
    assert finished["other"].token_ids != by_itself.token_ids
    assert by_itself.text != pictures[0].caption
    for number in range(1, 6):
        assert finished[f"greedy-{number}"].text == pictures[number].caption
    backend.close()
