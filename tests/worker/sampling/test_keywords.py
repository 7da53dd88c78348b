"""Keywords of a vocabulary: every token that the mask allows leads to a keyword that is not used yet."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from jobs.answer_format.response_format import VocabularyFormat, is_followed
from tests.support.grammars import constraint_of
from worker.models.loader import LoadedModel
from worker.sampling.constraint import Constraint
from worker.sampling.grammar import Grammars

#: Keywords that begin alike, that hold the marks of grammars, and that other keywords begin with.
WORDS = (
    *("red", "red wine", "redder", "reed", "blue", 'a "quoted" one', "back\\slash", "/slash/ (x)*"),
    "Straße",
    "猫",
)


def generate(constraint: Constraint, eos: frozenset[int], seed: int) -> list[int]:
    """Choose at random; the end is chosen only if nothing else may follow."""
    choices, ids = random.Random(seed), list[int]()
    while not constraint.finished:
        tokens = [int(token) for token in np.flatnonzero(constraint.allowed())]
        ids.append(choices.choice([token for token in tokens if token not in eos] or tokens))
        constraint.accept(ids[-1])
    return [token for token in ids if token not in eos]


@pytest.mark.parametrize("most", [1, 4, 10, 100])
def test_random_answers_have_each_keyword_once(
    grammars: Grammars, loaded: LoadedModel, tokenizer: Any, most: int
) -> None:
    """An answer that goes on as long as it may has as many keywords as are allowed, or all of them."""
    shape = VocabularyFormat(words=WORDS, max_keywords=most)
    for seed in range(30):
        ids = generate(constraint_of(grammars, shape), loaded.eos, seed)
        text = tokenizer.decode(ids)
        assert is_followed(shape, text), text
        assert len(text.split(", ")) <= min(most, len(WORDS))
        if most == 100:
            assert set(text.split(", ")) == set(WORDS)


def test_an_answer_may_end_after_a_keyword_only(grammars: Grammars, loaded: LoadedModel, tokenizer: Any) -> None:
    """After a comma another keyword has to follow."""
    constraint = constraint_of(grammars, VocabularyFormat(words=("red", "blue")))
    for token in tokenizer.encode("red", add_special_tokens=False):
        assert not constraint.allowed()[sorted(loaded.eos)].any()
        constraint.accept(token)
    assert constraint.allowed()[sorted(loaded.eos)].all()
    for token in tokenizer.encode(",", add_special_tokens=False):
        constraint.accept(token)
    assert not constraint.allowed()[sorted(loaded.eos)].any()
    assert not constraint.finished


def test_an_answer_that_is_taken_up_again_knows_its_keywords(grammars: Grammars, loaded: LoadedModel) -> None:
    """At every place the next token is allowed again."""
    shape = VocabularyFormat(words=WORDS, max_keywords=5)
    ids = generate(constraint_of(grammars, shape), loaded.eos, seed=1)
    for cut in range(len(ids)):
        again = constraint_of(grammars, shape)
        again.accept_all(ids[:cut])
        assert again.allowed()[ids[cut]]
        again.accept_all(ids[cut:])


def test_thousands_of_keywords_are_followed(grammars: Grammars, loaded: LoadedModel, tokenizer: Any) -> None:
    """The grammar of 5,000 keywords stays within the library's limits."""
    shape = VocabularyFormat(words=tuple(f"word {number * 7919}" for number in range(5000)), max_keywords=3)
    text = tokenizer.decode(generate(constraint_of(grammars, shape), loaded.eos, seed=2))
    assert is_followed(shape, text)
