"""Texts cut to a number of words or characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.captions.wording.word_limit import cut_to_characters, cut_to_words


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("One two three.", 3, "One two three."),
        ("A cat sits. It looks at a bird in a tree.", 7, "A cat sits."),
        ("A cat. It looks at a bird in a tree.", 8, "A cat. It looks at a bird in"),
        ("A cat, a dog, a bird and a fish", 4, "A cat, a dog"),
        ("A cat – a dog – a bird", 3, "A cat – a"),
        ("red, green, blue", 2, "red, green"),
        ('He says "stop here." Then he goes on', 4, 'He says "stop here."'),
        ("He costs 3.50 now and more", 4, "He costs 3.50 now"),
        ("猫が座る。鳥を見る。", 6, "猫が座る。"),
        ("one\ntwo\nthree", 2, "one\ntwo"),
    ],
)
def test_a_long_text_ends_at_a_sentence_or_at_a_word(text: str, most: int, expected: str) -> None:
    """A sentence's end is taken if a third of the words stays; no comma or dash is left behind."""
    assert cut_to_words(text, most) == expected


@given(st.text(max_size=80), st.integers(1, 12))
def test_a_cut_text_is_the_beginning_of_the_text_and_stays_as_it_is(text: str, most: int) -> None:
    """Cutting twice changes nothing more."""
    cut = cut_to_words(text, most)
    assert text.startswith(cut)
    assert cut_to_words(cut, most) == cut


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("A cat sits.", 11, "A cat sits."),
        ("  A cat sits.  ", 11, "A cat sits."),
        ("A cat sits. It looks at a bird.", 30, "A cat sits."),
        ("A cat. It looks at a bird in a tree.", 28, "A cat. It looks at a bird in"),
        ("A cat, a dog, a bird", 13, "A cat, a dog"),
        ("猫が座る。鳥を見る。", 7, "猫が座る。"),
        ("Donaudampfschifffahrt", 5, "Donau"),
        ("e\u0301e\u0301e\u0301", 3, "e\u0301"),
        ("👩\u200d👧👩\u200d👧", 5, "👩\u200d👧"),
    ],
)
def test_a_text_that_is_too_long_ends_at_a_sentence_or_at_a_word(text: str, most: int, expected: str) -> None:
    """A word that is longer than the limit is cut, but no letter is parted from its accent."""
    assert cut_to_characters(text, most) == expected


@given(st.text(max_size=80), st.integers(1, 60))
def test_no_text_has_more_characters_than_allowed(text: str, most: int) -> None:
    """The cut text is a beginning of the text, and cutting twice changes nothing more."""
    cut = cut_to_characters(text, most)
    assert len(cut) <= most
    assert text.strip().startswith(cut)
    assert cut_to_characters(cut, most) == cut
