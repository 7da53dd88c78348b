"""Answers within the limits of their requests."""

from __future__ import annotations

from dataclasses import replace

from jobs.answer_format.response_format import JSONObjectFormat, VocabularyFormat
from jobs.requests import Message, Request
from tests.support.rows import RESULT
from worker.dispatch.outcomes.answer_shape import shaped

ASKED = Request(model="demo", messages=[Message(role="user", content="What is there?")])
LONG = replace(RESULT, text="red, blue, gre", finish_reason="length", completion_tokens=7)


def test_free_text_is_cut_and_json_is_not() -> None:
    """The usage stays that of the whole answer."""
    cut = shaped(ASKED.model_copy(update={"max_words": 2}), LONG)
    assert (cut.text, cut.completion_tokens) == ("red, blue", 7)
    for request in (ASKED, ASKED.model_copy(update={"max_words": 2, "response_format": JSONObjectFormat()})):
        assert shaped(request, LONG) == LONG


def test_an_opener_that_is_removed_does_not_count() -> None:
    """The limit of characters is that of the file's text."""
    said = replace(RESULT, text="The image shows a red circle. It is round.")
    request = ASKED.model_copy(update={"max_characters": 16})
    assert shaped(request, said).text == "The image shows"
    assert shaped(request, said, removes_openers=True).text == "A red circle."
    assert shaped(ASKED, said, removes_openers=True) == said


def test_half_a_keyword_is_dropped_where_the_answer_was_cut_off() -> None:
    """An answer that ended by itself stays: were it wrong, the job has to fail."""
    shape = VocabularyFormat(words=("red", "blue", "green"))
    request = ASKED.model_copy(update={"response_format": shape})
    assert shaped(request, LONG).text == "red, blue"
    ended = replace(LONG, finish_reason="stop")
    assert shaped(request, ended) == ended
