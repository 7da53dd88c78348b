"""Vocabularies: reading, keywords in an answer, and the levels above them."""

from __future__ import annotations

import pytest

from jobs.answer_format.response_format import VocabularyFormat, is_followed
from jobs.answer_format.vocabulary import check_words, keyword_paths, known_keywords, parse_vocabulary

LIGHTROOM = "[Nature]\r\n\tAnimals\r\n\t\tDog\r\n\t\t\t{hound}\r\n\t\tCat\r\n\tTrees\r\nCity\r\n"


def test_a_list_has_a_keyword_a_line() -> None:
    """Blank lines, spaces around and a byte order mark do not matter."""
    assert parse_vocabulary("\ufeffred wine\n\n  \nbeer \r\nÄpfel\n") == ("red wine", "beer", "Äpfel")


def test_a_tree_has_its_leaves_with_the_levels_above() -> None:
    """Lightroom's synonyms and brackets are left out; any deeper indent is one level."""
    assert parse_vocabulary(LIGHTROOM) == ("Nature|Animals|Dog", "Nature|Animals|Cat", "Nature|Trees", "City")
    assert parse_vocabulary("a\n  b\n      c\n  d\ne\n") == ("a|b|c", "a|d", "e")


@pytest.mark.parametrize("word", ["a, b", "", " ", "a||b", "|a", "tab\there", "x" * 201, " a"])
def test_an_entry_that_no_answer_could_hold_is_refused(word: str) -> None:
    """The comma parts keywords, and the bar parts levels."""
    with pytest.raises(ValueError, match=r"comma|is not a word|characters"):
        check_words(["good", word])


def test_an_answer_gets_its_levels_back() -> None:
    """A keyword that stands in two places of the tree stays as it is: the answer does not say which is meant."""
    words = ("Colours|Orange", "Fruit|Orange", "Fruit|Pear", "City")
    assert keyword_paths("Pear, Orange, City", words) == ["Fruit|Pear", "Orange", "City"]


@pytest.mark.parametrize(
    ("text", "follows"),
    [
        ("red, blue", True),
        ("red", True),
        ("red, red", False),
        ("red, blue, green", False),
        ("red, blu", False),
        ("", False),
        ("red,blue", False),
        ("red, blue.", False),
    ],
)
def test_an_answer_follows_if_it_has_keywords_only(text: str, follows: bool) -> None:
    """Each at most once, and no more than allowed."""
    shape = VocabularyFormat(words=("red", "blue", "green"), max_keywords=2)
    assert is_followed(shape, text) == follows


def test_half_a_keyword_at_the_end_is_dropped() -> None:
    """An answer that was cut off keeps its whole keywords."""
    assert known_keywords("red, blue, gre", ("red", "Colours|blue", "green"), 10) == ["red", "blue"]
