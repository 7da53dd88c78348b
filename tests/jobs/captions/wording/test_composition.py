"""The text of a file: made from an answer, and joined with the text that is there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.captions.wording.composition import composed, holds, joined
from jobs.options.composition import CompositionOptions

APPEND, PREPEND = CompositionOptions(existing="append"), CompositionOptions(existing="prepend")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (CompositionOptions(), "A cat."),
        (CompositionOptions(prefix="photo of ", suffix=" --end"), "photo of A cat. --end"),
        (CompositionOptions(trigger="ohwx"), "ohwx, A cat."),
        (CompositionOptions(trigger="ohwx", template="{caption} ({trigger}, a{{b}}.jpg)"), "A cat. (ohwx, a{b}.jpg)"),
        (CompositionOptions(trigger="ohwx", prefix="[", suffix="]"), "[ohwx, A cat.]"),
        (CompositionOptions(strip_openers=True, prefix="["), "[A cat."),
    ],
    ids=["plain", "prefix and suffix", "trigger", "template", "all", "openers"],
)
def test_the_new_text_is_made_from_the_answer(options: CompositionOptions, text: str) -> None:
    """Prefix and suffix go around, the trigger word before."""
    assert composed("A cat.\n", options) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (APPEND, "by hand, two words A cat."),
        (PREPEND, "A cat. by hand, two words"),
        (CompositionOptions(existing="append", separator=", "), "by hand, two words, A cat."),
        (CompositionOptions(existing="append", separator="\\n"), "by hand, two words\nA cat."),
    ],
    ids=["append", "prepend", "comma", "line end"],
)
def test_the_text_that_is_there_keeps_its_place(options: CompositionOptions, text: str) -> None:
    """The separator stands between."""
    assert joined("A cat.", "by hand, two words\n", options) == text
    assert joined("A cat.", " \n", options) == "A cat."


@given(st.text(), st.text(min_size=1), st.sampled_from([APPEND, PREPEND]))
def test_every_word_stays_and_the_addition_is_found_again(previous: str, new: str, options: CompositionOptions) -> None:
    """So a run that is repeated adds nothing."""
    text = joined(new, previous, options)
    assert previous.strip() in text
    assert holds(text, new)


def test_an_answer_keeps_its_openers_unless_they_are_to_go() -> None:
    """In JSON nothing is an opener, and a trigger word has no comma without an answer."""
    answer = "The image shows a cat."
    assert composed(answer, CompositionOptions()) == answer
    assert composed(answer, CompositionOptions(strip_openers=True)) == "A cat."
    assert composed(answer, CompositionOptions(strip_openers=True), free_text=False) == answer
    assert composed(" ", CompositionOptions(trigger="ohwx")) == "ohwx"
