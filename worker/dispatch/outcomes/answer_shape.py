"""The answer within the limits that its request sets: no more words or characters than allowed, and no half of a keyword."""

from __future__ import annotations

from dataclasses import replace

from jobs.answer_format.response_format import VocabularyFormat
from jobs.answer_format.vocabulary import SEPARATOR, known_keywords
from jobs.captions.wording.openers import strip_openers
from jobs.captions.wording.word_limit import cut_to_characters, cut_to_words
from jobs.requests import Request
from jobs.store.result import Result


def shaped(request: Request, result: Result, *, removes_openers: bool = False) -> Result:
    """Return the result with its text cut to the request's limits. Its usage stays that of the whole answer.

    `removes_openers`: an opener that the file's text will not have is removed before the cut, not counted.
    """
    shape = request.response_format
    if isinstance(shape, VocabularyFormat) and result.finish_reason == "length":
        return replace(result, text=SEPARATOR.join(known_keywords(result.text, shape.words, shape.max_keywords)))
    if shape is not None or (request.max_words is None and request.max_characters is None):
        return result
    text = strip_openers(result.text) if removes_openers else result.text
    if request.max_words is not None:
        text = cut_to_words(text, request.max_words)
    if request.max_characters is not None:
        text = cut_to_characters(text, request.max_characters)
    return replace(result, text=text)
