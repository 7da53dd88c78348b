"""The answer within the limits that its request sets: no more words than asked for, and no half of a keyword."""

from __future__ import annotations

from dataclasses import replace

from jobs.captions.wording.word_limit import cut_to_words
from jobs.requests import Request
from jobs.response_format import VocabularyFormat
from jobs.store.result import Result
from jobs.vocabulary import SEPARATOR, known_keywords


def shaped(request: Request, result: Result) -> Result:
    """Return the result with its text cut to the request's limits. Its usage stays that of the whole answer."""
    shape = request.response_format
    if isinstance(shape, VocabularyFormat) and result.finish_reason == "length":
        return replace(result, text=SEPARATOR.join(known_keywords(result.text, shape.words, shape.max_keywords)))
    if request.max_words is not None and shape is None:
        return replace(result, text=cut_to_words(result.text, request.max_words))
    return result
