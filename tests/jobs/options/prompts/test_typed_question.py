"""Questions of a table: how a person types them, and how answers get their type."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.answer_format.response_format import is_followed
from jobs.creation.question import Question, answer_job
from jobs.creation.retry import copy_of
from jobs.options.prompts.typed_question import TypedQuestion, Value, check_names
from jobs.sampling import Sampling
from jobs.store.tables import Batch


@pytest.mark.parametrize(
    ("typed", "question", "kind"),
    [
        ("a=How many people?:int", "How many people?", "int"),
        ('a="How many people?":int', "How many people?", "int"),
        ("a=What is it?", "What is it?", "text"),
        ("a='What is it?'", "What is it?", "text"),
        ("a=What is it?:photo|line drawing|scan", "What is it?", "photo|line drawing|scan"),
        ('a=Does it say "stop: now"?:bool', 'Does it say "stop: now"?', "bool"),
        ("a=Which one: a cat or a dog?", "Which one: a cat or a dog?", "text"),
        ("a=Is it later than 10:30?", "Is it later than 10:30?", "text"),
        ('a="Is it later than 10:30":bool', "Is it later than 10:30", "bool"),
        ('a="Is x=y"', "Is x=y", "text"),
        ('a="How many?":', "How many?", "text"),
    ],
)
def test_a_question_is_read_as_it_is_meant(typed: str, question: str, kind: str) -> None:
    """Quotes, colons and equals signs of the question survive."""
    found = TypedQuestion.parse(typed)
    assert (found.name, found.question, found.type) == ("a", question, kind)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("How many?", "NAME=QUESTION:TYPE"),
        ("a=", "NAME=QUESTION:TYPE"),
        ("a=How many?:integer", "'integer' is not a type"),
        ("a=What?:photo|", "is not a type"),
        ("path=What?", "Give the question another name"),
    ],
)
def test_a_question_that_cannot_be_read_is_refused(typed: str, reason: str) -> None:
    """The error names the fault of the question."""
    with pytest.raises(ValueError, match=reason):
        TypedQuestion.parse(typed)


def test_two_questions_of_one_name_are_refused() -> None:
    """Their answers would share a column."""
    with pytest.raises(ValueError, match="Two questions have the name 'a'"):
        check_names([TypedQuestion.parse("a=One?"), TypedQuestion.parse("a=Two?")])


@pytest.mark.parametrize(
    ("kind", "answer", "value"),
    [
        ("int", "12", 12),
        ("int", "-3", -3),
        ("int", "two", 2),
        ("number", "2.5", 2.5),
        ("number", "three", 3),
        ("bool", "yes", True),
        ("bool", "No", False),
        ("bool", "true", True),
        ("a.b|c (d)|e", "c (d)", "c (d)"),
    ],
)
def test_an_answer_gets_its_type(kind: str, answer: str, value: Value) -> None:
    """The grammar allows the answer, and no other text around it."""
    question = TypedQuestion(name="a", question="What?", type=kind)
    assert is_followed(question.response_format, answer)
    assert not is_followed(question.response_format, f"{answer} or so")
    assert question.value(answer) == value
    assert type(question.value(answer)) is type(value)


def test_special_characters_of_a_choice_are_themselves() -> None:
    """A dot in a choice matches no other character."""
    question = TypedQuestion(name="a", question="What?", type="a.b|c")
    assert not is_followed(question.response_format, "axb")
    assert question.prompt == "What? Answer with one of: a.b, c."


def test_a_question_survives_a_retry() -> None:
    """The copy of a failed job fills the same cell."""
    batch = Batch(description="", model="demo")
    asked = Question("demo", "", Sampling()).of_column(TypedQuestion.parse("n=How many?:int"))
    job = answer_job(Path("/a.png"), asked, batch)
    assert copy_of(job, batch, None).parsed_question() == TypedQuestion(name="n", question="How many?", type="int")
