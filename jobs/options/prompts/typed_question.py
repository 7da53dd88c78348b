"""A question of a table, whose answers have a type: `people="How many people?":int`.

A grammar holds the answer to its type, in the plain words that models answer with (`two`, `yes`, `photo`), and the words become a
value (2, true, "photo"). JSON would force a quote or a brace before the answer, which small models are thrown off by.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Self

from pydantic import Field, field_validator, model_validator

from jobs.answer_format.response_format import Part, RegexFormat
from jobs.safe_text import UNSHOWN

#: Maximum number of questions of one table.
MAX_QUESTIONS = 50
#: Columns that each table has besides those of its questions.
PATH_COLUMN, ERROR_COLUMN = "path", "error"

TYPES = ("text", "int", "number", "bool")
_NUMBER_WORDS = (
    *("zero one two three four five six seven eight nine ten eleven twelve thirteen".split()),  # noqa: SIM905
    *("fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()),  # noqa: SIM905
)
_TRUTHS = {"yes": True, "no": False, "Yes": True, "No": False, "true": True, "false": False}
_IN_WORDS = "|".join(_NUMBER_WORDS)
_PATTERNS = {
    "int": f"-?[0-9]{{1,15}}|{_IN_WORDS}",
    "number": rf"-?[0-9]{{1,15}}(\.[0-9]{{1,9}})?|{_IN_WORDS}",
    "bool": "|".join(_TRUTHS),
}
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_NAME = r"[^\x00-\x1f=]{1,64}"

Value = str | int | float | bool


class TypedQuestion(Part):
    """One question about each image, and the column of its answers."""

    name: str = Field(pattern=rf"^{_NAME}$", description="Name of the answers' column")
    question: str = Field(min_length=1, max_length=10_000, description="The question about each image")
    type: str = Field(
        default="text",
        max_length=10_000,
        description="Type of the answers: text, int, number, bool, or the words to choose from, such as photo|drawing|scan",
    )

    @field_validator("name")
    @classmethod
    def _is_not_taken(cls, name: str) -> str:
        if name in (PATH_COLUMN, ERROR_COLUMN):
            raise ValueError(f"Every table has a column '{name}'. Give the question another name.")
        return name

    @field_validator("type")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind in TYPES:
            return kind
        choices = kind.split("|")
        if len(choices) == 1 or not all(choice.strip() for choice in choices) or UNSHOWN.search(kind):
            raise ValueError(
                f"'{kind}' is not a type. The types are {', '.join(TYPES)}, or words to choose from, such as photo|drawing."
            )
        return "|".join(dict.fromkeys(choice.strip() for choice in choices))

    @model_validator(mode="after")
    def _can_be_followed(self) -> Self:
        # Refused here, before anything is queued: the grammar checks itself.
        self.response_format  # noqa: B018
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NAME=QUESTION:TYPE`; the type may be left out. The question may be in quotes, and may hold quotes and colons.

        Raises ValueError (pydantic's ValidationError is one).
        """
        name, equals, rest = text.partition("=")
        if not equals or not rest.strip():
            raise ValueError(
                f"'{text}' is not a question. Write NAME=QUESTION:TYPE, such as people=\"How many people?\":int."
            )
        question, kind = _split(rest.strip())
        return cls(name=name.strip(), question=question, type=kind)

    @property
    def choices(self) -> list[str]:
        """The words to choose from; empty: the answer has another type."""
        return [] if self.type in TYPES else self.type.split("|")

    @property
    def prompt(self) -> str:
        """The question as the model gets it. A model cannot guess the words that it has to choose from."""
        return f"{self.question} Answer with one of: {', '.join(self.choices)}." if self.choices else self.question

    @property
    def response_format(self) -> RegexFormat | None:
        """The grammar of the answers; None: free text."""
        if self.type == "text":
            return None
        pattern = _PATTERNS.get(self.type) or "|".join(_SPECIAL.sub(r"\\\g<0>", choice) for choice in self.choices)
        return RegexFormat(regex=pattern)

    def value(self, answer: str) -> Value:
        """Convert an answer of the model to the question's type."""
        match self.type:
            case "bool":
                return _TRUTHS[answer]
            case "int" | "number" if answer in _NUMBER_WORDS:
                return _NUMBER_WORDS.index(answer)
            case "int":
                return int(answer)
            case "number":
                return float(answer)
            case _:
                return answer


def check_names(questions: Sequence[TypedQuestion]) -> None:
    """Raise ValueError if two questions have one name."""
    names = [question.name for question in questions]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"Two questions have the name '{twice[0]}'. Each needs a name of its own.")


def _split(text: str) -> tuple[str, str]:
    """Return the question and its type."""
    quoted = re.fullmatch(r'(["\'])(?P<question>.+)\1(?::(?P<type>.*))?', text, re.DOTALL)
    if quoted is not None:
        return quoted["question"], quoted["type"] or "text"
    question, colon, kind = text.rpartition(":")
    # A colon within the question: a space follows, or words that are no type.
    if colon and question and (re.fullmatch(r"[A-Za-z]+", kind) or re.fullmatch(r"\S[^?]*\|[^?]*", kind)):
        return question, kind
    return text, "text"
