"""Answers that are nothing, or the same thing over and over."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.quality import LOOP_TOKENS, judge


def ids_of(text: str) -> list[int]:
    """An id a word."""
    return [hash(word) for word in text.split()]


@pytest.mark.parametrize("text", ["", " \n", "...", "!?", "- - -", "()"])
def test_an_answer_without_a_letter_is_empty(text: str) -> None:
    """White space and punctuation say nothing."""
    assert judge(text, [1, 2], "stop") == "empty"


@pytest.mark.parametrize("text", ["7", "Yes.", "图", "🦊", "→"])
def test_the_shortest_answers_are_none_the_less_answers(text: str) -> None:
    """A digit, a word, a character of any script, a sign."""
    assert judge(text, [1], "stop") is None


@given(
    start=st.lists(st.integers(0, 9), max_size=40),
    again=st.lists(st.integers(10, 99), min_size=1, max_size=60, unique=True),
    cut=st.integers(0, 59),
)
def test_a_loop_that_ran_into_the_limit_is_noticed(start: list[int], again: list[int], cut: int) -> None:
    """Whatever came before it, however long its round, wherever it was cut off."""
    rounds = 4 + LOOP_TOKENS // len(again)
    ids = start + again * rounds + again[: cut % len(again)]
    assert judge("words", ids, "length") == "repetition"


@given(st.lists(st.integers(), min_size=1, max_size=300, unique=True))
def test_what_never_repeats_is_no_loop(ids: list[int]) -> None:
    """However long."""
    assert judge("words", ids, "length") is None


@pytest.mark.parametrize(
    "text",
    [
        "ha ha ha ha",
        "A red circle, a red square, a red star and a red triangle on a red ground.",
        "row row row your boat gently down the stream merrily merrily merrily merrily life is but a dream " * 2,
        json.dumps([{"shape": "circle", "color": "red"}] * 6, indent=1),
    ],
)
def test_lists_and_refrains_that_end_by_themselves_are_no_loops(text: str) -> None:
    """They are what was asked for."""
    assert judge(text, ids_of(text), "stop") is None


def test_a_loop_that_ends_by_itself_after_very_long_is_one() -> None:
    """Nobody wants the same sentence ten times."""
    text = "The sky is blue and the sea is too. " * 12
    assert judge(text, ids_of(text), "stop") == "repetition"
