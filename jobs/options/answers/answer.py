"""Options for the words of the answer: their language, and those that are allowed."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from jobs.answer_format.response_format import DEFAULT_KEYWORDS, MAX_KEYWORDS, VocabularyFormat
from jobs.answer_format.vocabulary import check_words, parse_vocabulary
from jobs.options.answers.languages import language_name
from jobs.options.answers.length import LengthOptions
from jobs.options.from_file import FromFile


class AnswerOptions(LengthOptions):
    """Options that say which words an answer may have."""

    SECTION: ClassVar[str] = "Answer"

    language: str | None = Field(
        default=None, min_length=2, max_length=50, description="Ask for answers in this language, such as de or German."
    )
    vocabulary: Annotated[tuple[str, ...], FromFile()] = Field(
        default=(),
        description=(
            "Answer with keywords of this list only, each once: one a line, or a tree of keywords, indented by level. Without a "
            "prompt, keywords are asked for."
        ),
    )
    max_keywords: int = Field(
        default=DEFAULT_KEYWORDS, ge=1, le=MAX_KEYWORDS, description="With a vocabulary: most keywords per answer."
    )

    @field_validator("language")
    @classmethod
    def _name_language(cls, value: str | None) -> str | None:
        return None if value is None else language_name(value)

    @field_validator("vocabulary", mode="before")
    @classmethod
    def _read_vocabulary(cls, value: object) -> object:
        if isinstance(value, str):
            return parse_vocabulary(value)
        # A strict model takes no list for a tuple once this function has seen the value.
        return tuple(value) if isinstance(value, list) else value

    @field_validator("vocabulary")
    @classmethod
    def _check_vocabulary(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_words(value)

    @model_validator(mode="after")
    def _check_keyword_limits(self) -> Self:
        for name in LengthOptions.model_fields:
            if self.vocabulary and getattr(self, name) is not None:
                raise PydanticCustomError(
                    "invalid_request_error", "A vocabulary goes with max_keywords, not {name}.", {"name": name}
                )
        return self

    @property
    def keyword_format(self) -> VocabularyFormat | None:
        """The format of answers that are keywords; None: there is no vocabulary."""
        return VocabularyFormat(words=self.vocabulary, max_keywords=self.max_keywords) if self.vocabulary else None
