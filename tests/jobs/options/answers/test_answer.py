"""Options for the words of the answer."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from api.schemas.folder import FolderOptions
from jobs.answer_format.response_format import JSONObjectFormat, VocabularyFormat
from jobs.creation.question import Question
from jobs.errors import InvalidRequestError
from jobs.options.answers.languages import language_name
from jobs.options.caption_options import QuestionOptions
from jobs.options.prompts.presets import BUILT_IN


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("de", "German"),
        ("DE", "German"),
        ("de-AT", "German"),
        ("pt_BR", "Brazilian Portuguese"),
        ("zh-Hant", "Traditional Chinese"),
        ("Swiss German", "Swiss German"),
        ("Deutsch", "Deutsch"),
    ],
)
def test_a_language_is_asked_for_by_its_english_name(language: str, name: str) -> None:
    """A code or a tag becomes the name; a name stays."""
    assert language_name(language) == name


def test_an_unknown_code_is_refused() -> None:
    """A model would not know the code either."""
    with pytest.raises(ValidationError, match="'xx' is not a known code of a language"):
        QuestionOptions(language="xx")


def test_a_vocabulary_makes_the_format_and_asks_for_keywords() -> None:
    """A prompt of the user's stays the prompt; the text of a file and a list of words mean the same."""
    options = QuestionOptions.model_validate_json('{"vocabulary": "Animals\\n\\tDog\\nCar\\n", "max_keywords": 3}')
    question = Question.of(options, "demo", None)
    assert question.response_format == VocabularyFormat(words=("Animals|Dog", "Car"), max_keywords=3)
    assert question.about("blob:x").messages[0].texts == [BUILT_IN["tags"].prompt]
    listed = QuestionOptions.model_validate_json('{"vocabulary": ["Animals|Dog", "Car"], "max_keywords": 3}')
    assert Question.of(listed, "demo", None) == question
    over_http = FolderOptions.model_validate_json('{"vocabulary": ["Animals|Dog", "Car"], "max_keywords": 3}')
    assert over_http.keyword_format == question.response_format
    assert QuestionOptions(vocabulary=("Car",), prompt="What?").wordings()[0].prompt == "What?"


def test_options_that_contradict_each_other_are_refused() -> None:
    """A schema holds the answer already, and keywords are counted as keywords."""
    for limit in ("max_words", "max_characters"):
        with pytest.raises(ValidationError, match=f"goes with max_keywords, not {limit}"):
            QuestionOptions.model_validate({"vocabulary": ("Car",), limit: 3})
    limits = (QuestionOptions(max_words=3), QuestionOptions(max_characters=3))
    for options in (QuestionOptions(vocabulary=("Car",)), *limits):
        with pytest.raises(InvalidRequestError, match="Give either a schema or"):
            Question.of(options, "demo", JSONObjectFormat())
    with pytest.raises(ValidationError, match="has no words"):
        QuestionOptions.model_validate({"vocabulary": "\n\n"})
