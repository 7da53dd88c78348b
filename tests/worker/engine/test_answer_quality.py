"""Empty answers, and answers that end in a loop."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.answer_quality import LOOP_TOKENS, judge


def ids_of(text: str) -> list[int]:
    """Give each word an id."""
    return [hash(word) for word in text.split()]


@pytest.mark.parametrize("text", ["", " \n", "...", "!?", "- - -", "()"])
def test_an_answer_without_a_letter_is_empty(text: str) -> None:
    """White space and punctuation are no answer."""
    assert judge(text, [1, 2], "stop") == "empty"


@pytest.mark.parametrize("text", ["7", "Yes.", "图", "🦊", "→"])
def test_the_shortest_answers_are_none_the_less_answers(text: str) -> None:
    """A digit, a word, a character of any script or a sign is an answer."""
    assert judge(text, [1], "stop") is None


@settings(deadline=None)
@given(
    start=st.lists(st.integers(0, 9), max_size=40),
    again=st.lists(st.integers(10, 99), min_size=1, max_size=60, unique=True),
    cut=st.integers(0, 59),
)
def test_a_loop_that_ran_into_the_limit_is_noticed(start: list[int], again: list[int], cut: int) -> None:
    """A loop is noticed after any beginning, with a round of any length, and cut off at any place."""
    rounds = 4 + LOOP_TOKENS // len(again)
    ids = start + again * rounds + again[: cut % len(again)]
    assert judge("words", ids, "length") == "repetition"


@settings(deadline=None)
@given(st.lists(st.integers(), min_size=1, max_size=300, unique=True))
def test_what_never_repeats_is_no_loop(ids: list[int]) -> None:
    """A long answer without repetition is no loop."""
    assert judge("words", ids, "stop") is None
    assert judge("words", ids, "length") == "cut_off"


@pytest.mark.parametrize(
    "text",
    [
        "ha ha ha ha",
        "A red circle, a red square, a red star and a red triangle on a red ground.",
        "row row row your boat gently down the stream merrily merrily merrily merrily life is but a dream " * 2,
        json.dumps([{"shape": "circle", "color": "red"}] * 40, indent=1),
        json.dumps([{"text": "A small red circle on the left."}] * 40),
        f"```json\n{json.dumps([{'shape': 'circle', 'color': 'red'}] * 40)}\n```",
        "\n".join(f"{number}. A {colour} circle." for number, colour in enumerate("abcdefghijklmnop")),
        "\n".join(["She walks along the sea.", "He counts the waves."] * 3),
    ],
)
def test_lists_and_refrains_that_end_by_themselves_are_no_loops(text: str) -> None:
    """The request asked for the repetition."""
    assert judge(text, ids_of(text), "stop") is None


def test_a_loop_that_ends_by_itself_after_very_long_is_one() -> None:
    """The same sentence ten times is a loop."""
    text = "The sky is blue and the sea is too. " * 12
    assert judge(text, ids_of(text), "stop") == "repetition"


SAYING = "The sky is blue today"


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"{number}. {SAYING}." for number in range(1, 13)),
        "\n".join(f"- {SAYING}, {SAYING.lower()}" if number % 3 else "Nothing else." for number in range(12)),
        ". ".join(
            SAYING if number in (0, 1, 3, 6, 7, 10) else f"Cloud number {number} comes in" for number in range(12)
        ),
        "。".join(f"{number}。天空今天是蓝色的" for number in range(12)),
    ],
)
def test_a_sentence_that_comes_again_and_again_is_a_loop(text: str) -> None:
    """Numbers or other sentences may stand between, so that no two rounds have the same tokens."""
    ids = list(range(len(text)))
    assert judge(text, ids, "length") == "repetition"


def test_a_sentence_said_five_times_is_none() -> None:
    """Many repetitions long before the end are no loop either."""
    others = [f"Cloud number {number} comes in" for number in range(12)]
    assert judge(". ".join([SAYING] * 5), [1, 2, 3], "length") == "cut_off"
    assert judge(". ".join([*[SAYING] * 9, *others]), [1, 2, 3], "length") == "cut_off"
    assert judge(". ".join([SAYING] * 9), [1, 2, 3], "stop") is None
    assert judge(". ".join([SAYING] * 10), [1, 2, 3], "stop") == "repetition"


def test_json_that_is_cut_off_in_a_loop_is_one() -> None:
    """The answer did not end by itself, so it is not complete JSON."""
    text = json.dumps([{"shape": "circle", "color": "red"}] * 40)[:-1]
    assert judge(text, ids_of(text), "length") == "repetition"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("An orange circle, a", "cut_off"), ('{"color": "red', "cut_off"), ('{"color": "red"}', None), ("", "empty")],
)
def test_an_answer_that_ends_at_its_limit_is_cut_off(text: str, verdict: str | None) -> None:
    """Whole JSON lacks nothing, and an answer without words is called empty."""
    assert judge(text, [1, 2, 3], "length") == verdict


@settings(deadline=None)
@given(st.lists(st.text("abc ", max_size=20), max_size=40), st.sampled_from(["stop", "length"]))
def test_lines_that_are_all_different_are_no_loop(lines: list[str], reason: str) -> None:
    """Different lines are no loop, with any text."""
    text = "\n".join(f"{number} {line} {number}" for number, line in enumerate(lines)) or "none"
    assert judge(text, [hash((word, at)) for at, word in enumerate(text.split())], reason) in (None, "cut_off")


@settings(deadline=None)
@given(st.text(max_size=300), st.lists(st.integers(0, 3), max_size=100), st.sampled_from(["stop", "length"]))
def test_any_answer_can_be_judged(text: str, ids: list[int], reason: str) -> None:
    """An empty answer is called empty before it is called a loop."""
    verdict = judge(text, ids, reason)
    assert verdict in ("empty", "repetition", "cut_off" if reason == "length" else None)
    assert (verdict == "empty") == (judge(text, [], reason) == "empty")
