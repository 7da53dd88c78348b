"""Calls by grammar: random choices under the mask are calls of the tools, in every form, with both kinds of tokenizer."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from jobs.answer_format.response_format import JSONObjectFormat
from jobs.tools import Tools
from tests.support.tools import weather_and_time
from worker.models.text.call_splitter import CallSplitter
from worker.sampling.call_format import FORMATS, HERMES, LLAMA, CallFormat
from worker.sampling.call_grammar import CallRules
from worker.sampling.constraint import Constraint
from worker.sampling.grammar import Grammars


def calls_in(form: CallFormat, text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the calls of an answer: names and arguments."""
    splitter = CallSplitter(form)
    lines = "".join(part.calls for part in (*splitter.add(text), *splitter.finish())).split("\n")
    return [(name, json.loads(arguments)) for name, arguments in zip(lines[0::2], lines[1::2], strict=False)]


def rest_of(constraint: Constraint, seed: int, eos: frozenset[int]) -> list[int]:
    """Choose at random until only the end may follow."""
    choices, ids = random.Random(seed), list[int]()
    while not constraint.finished:
        token = choices.choice(np.flatnonzero(constraint.allowed()).tolist())
        constraint.accept(token)
        if token in eos:
            break
        ids.append(token)
        assert len(ids) < 2000
    return ids


def check_call(name: str, arguments: dict[str, Any]) -> None:
    """Check that a call follows the schema of its tool."""
    if name == "get_time":
        assert arguments == {}
    else:
        assert name == "get_weather"
        assert arguments["city"] in ("Paris", "Rome")
        assert 1 <= arguments["days"] <= 9
        assert list(arguments) == ["city", "days"]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.begin + form.head)
def test_required_calls_follow_their_schemas(grammars: Grammars, loaded: Any, tokenizer: Any, form: CallFormat) -> None:
    """Nothing else can be said, and no more calls than are allowed."""
    for seed in range(6):
        most = 1 + seed % 3
        constraint = grammars.constraint(None, CallRules(form, weather_and_time(required=True, most_calls=most)))
        assert constraint is not None
        calls = calls_in(form, tokenizer.decode(rest_of(constraint, seed, loaded.eos)))
        assert 1 <= len(calls) <= (most if form.several else 1)
        for call in calls:
            check_call(*call)


def test_only_allowed_functions_are_called(grammars: Grammars, loaded: Any, tokenizer: Any) -> None:
    """A named function is called exactly once, although the model is shown the others."""
    tools = weather_and_time(required=True, allowed=("get_weather",), most_calls=1)
    for seed in range(4):
        constraint = grammars.constraint(None, CallRules(HERMES, tools))
        assert constraint is not None
        ((name, arguments),) = calls_in(HERMES, tokenizer.decode(rest_of(constraint, seed, loaded.eos)))
        assert name == "get_weather"
        check_call(name, arguments)


@pytest.mark.parametrize("form", [HERMES, LLAMA], ids=["hermes", "llama"])
def test_text_is_free_until_a_call_begins(grammars: Grammars, loaded: Any, tokenizer: Any, form: CallFormat) -> None:
    """However the tokens lie: from the mark of a call on, the arguments follow their schema."""
    beginning = f"{form.begin}{form.head}"
    for seed, text in enumerate(("", "Well <tool", "See: ") if not form.only_at_start else ("", "\n")):
        constraint = grammars.constraint(None, CallRules(form, weather_and_time(most_calls=2)))
        assert constraint is not None
        ids = tokenizer.encode(text + beginning[: len(form.trigger)], add_special_tokens=False)
        for token in ids:
            assert constraint.allowed().all()
            constraint.accept(token)
        assert not constraint.allowed().all()
        answer = tokenizer.decode(ids + rest_of(constraint, seed, loaded.eos))
        assert answer.startswith(text + form.trigger)
        calls = calls_in(form, answer)
        assert calls
        for call in calls:
            check_call(*call)


def test_text_that_only_looks_like_a_call_stays_free(grammars: Grammars, tokenizer: Any) -> None:
    """Bare JSON after a text is no call of Llama's, and a mark in the middle of a token is no dead end."""
    constraint = grammars.constraint(None, CallRules(LLAMA, weather_and_time()))
    assert constraint is not None
    for token in tokenizer.encode('Such as {"name": "x"}.', add_special_tokens=False):
        constraint.accept(token)
    assert constraint.allowed().all()
    assert not constraint.finished


def test_an_answer_may_be_json_or_calls(grammars: Grammars, loaded: Any, tokenizer: Any) -> None:
    """A response format beside tools holds the answers without calls."""
    rules = CallRules(HERMES, Tools(functions=weather_and_time().functions))
    constraint = grammars.constraint(JSONObjectFormat(), rules)
    assert constraint is not None
    beginnings = {tokenizer.decode([int(token)])[:1] for token in np.flatnonzero(constraint.allowed())}
    assert beginnings == {"<", "{"}
