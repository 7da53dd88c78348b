"""Comparisons: the sample, and the differences of two answers."""

from __future__ import annotations

import pytest

from api.pages.pictures.comparisons import spread
from api.pages.pictures.pair_view import MOST_WORDS, marked


def test_a_sample_is_spread_over_all_pictures() -> None:
    """Each picture comes at most once, in order."""
    ids = [str(number) for number in range(10)]
    assert spread(ids, 3) == ["0", "3", "6"]
    assert spread(ids, 10) == spread(ids, 11) == ids
    assert spread([], 3) == spread(ids, 0) == []


@pytest.mark.parametrize(
    ("first", "second", "marks"),
    [
        ("A red dog.", "a big red  dog.", ([], [" big"])),
        ("A red dog.", "A blue dog.", ([" red"], [" blue"])),
        ("一只狗", "一只猫", (["一只狗"], ["一只猫"])),
        ("word " * (MOST_WORDS + 1), "other", ([], [])),
    ],
)
def test_words_that_differ_are_marked(first: str, second: str, marks: tuple[list[str], list[str]]) -> None:
    """No character is lost; case and spaces make no difference, and very long answers are not compared."""
    pieces = marked(first, second)
    assert ["".join(text for text, _ in side) for side in pieces] == [first, second]
    assert tuple([text for text, differs in side if differs] for side in pieces) == marks
