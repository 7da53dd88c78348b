"""Structured output: random choices under the mask give valid answers, with the tokenizers of both kinds of model."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from jobs.answer_format.response_format import JSONObjectFormat, JSONSchema, JSONSchemaFormat, TextFormat
from jobs.errors import EngineError, ModelError
from tests.support.grammars import VOCABULARY, constraint_of
from worker.models.loader import LoadedModel
from worker.sampling.constraint import Constraint
from worker.sampling.grammar import Grammars

PICTURE = {
    "type": "object",
    "properties": {
        "shape": {"enum": ["circle", "square"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 12},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 20}, "minItems": 1, "maxItems": 4},
        "large": {"type": "boolean"},
    },
    "required": ["shape", "count", "tags"],
    "additionalProperties": False,
}


def schema_format(schema: dict[str, Any]) -> JSONSchemaFormat:
    """Make the response format of a schema."""
    return JSONSchemaFormat(json_schema=JSONSchema(name="answer", schema=schema))


def allowed(constraint: Constraint) -> list[int]:
    """Return the ids that may come next."""
    mask = constraint.allowed()
    assert mask.shape == (VOCABULARY,)
    assert mask.dtype == bool
    return [int(token) for token in np.flatnonzero(mask)]


def generate(constraint: Constraint, seed: int, closers: frozenset[int] = frozenset(), patience: int = 40) -> list[int]:
    """Choose at random until only the end may follow; after `patience` tokens prefer tokens that close."""
    choices = random.Random(seed)
    ids: list[int] = []
    while not constraint.finished:
        tokens = allowed(constraint)
        if len(ids) >= patience:
            tokens = [token for token in tokens if token in closers] or tokens
        ids.append(choices.choice(tokens))
        constraint.accept(ids[-1])
        assert len(ids) < 1000
    return ids


def closers_of(tokenizer: Any) -> frozenset[int]:
    """Return the ids of tokens that end strings, arrays and objects."""
    return frozenset(tokenizer.convert_tokens_to_ids(text) for text in '"}]')


def test_random_answers_follow_their_schema(grammars: Grammars, loaded: LoadedModel, tokenizer: Any) -> None:
    """Forty answers are JSON on one line, with keys in order, no special token inside, and an end that is allowed."""
    specials = set(tokenizer.all_special_ids)
    assert len(specials) > 5
    for seed in range(40):
        constraint = constraint_of(grammars, schema_format(PICTURE))
        ids = generate(constraint, seed)
        assert not specials & set(ids)
        assert max(ids) < 666
        text = tokenizer.decode(ids)
        answer = json.loads(text)
        if "\\" not in text:  # an escape may be written in more than one way
            assert text == json.dumps(answer, ensure_ascii=False)
        assert list(answer) == [key for key in PICTURE["properties"] if key in answer]  # type: ignore[attr-defined]
        assert set(answer) >= {"shape", "count", "tags"}
        assert answer["shape"] in ("circle", "square")
        assert type(answer["count"]) is int
        assert 0 <= answer["count"] <= 12
        assert 1 <= len(answer["tags"]) <= 4
        assert all(isinstance(tag, str) and len(tag) <= 20 for tag in answer["tags"])
        assert answer.get("large", True) in (True, False)
        assert allowed(constraint) == sorted(loaded.eos)


def test_a_json_object_is_an_object(grammars: Grammars, tokenizer: Any) -> None:
    """An object may hold any JSON."""
    sizes = set()
    for seed in range(20):
        ids = generate(constraint_of(grammars, JSONObjectFormat()), seed, closers_of(tokenizer))
        answer = json.loads(tokenizer.decode(ids))
        assert isinstance(answer, dict)
        sizes.add(len(answer))
    assert len(sizes) > 1


def test_the_end_is_allowed_as_soon_as_the_answer_may_end(
    grammars: Grammars, loaded: LoadedModel, tokenizer: Any
) -> None:
    """A number may go on or end; the answer has not finished until the end was chosen."""
    constraint = constraint_of(grammars, schema_format({"type": "integer"}))
    (seven,) = tokenizer.encode("7", add_special_tokens=False)
    assert not loaded.eos & set(allowed(constraint))
    constraint.accept(seven)
    assert set(allowed(constraint)) > loaded.eos
    assert not constraint.finished
    constraint.accept(min(loaded.eos))
    assert constraint.finished
    assert allowed(constraint) == sorted(loaded.eos)
    constraint.accept(max(loaded.eos))


def test_an_answer_is_taken_up_again_where_it_was(grammars: Grammars) -> None:
    """A constraint that has accepted the first tokens allows the next one, and accepts the rest."""
    first = constraint_of(grammars, schema_format(PICTURE))
    ids = generate(first, seed=1)
    for cut in range(len(ids)):
        again = constraint_of(grammars, schema_format(PICTURE))
        again.accept_all(ids[:cut])
        assert not again.finished
        assert ids[cut] in allowed(again)
        again.accept_all(ids[cut:])
        assert again.finished


@pytest.mark.parametrize("token", [50, -1, VOCABULARY])
def test_a_token_that_is_not_allowed_is_refused(grammars: Grammars, token: int) -> None:
    """The error names the token, at the beginning and after the end."""
    constraint = constraint_of(grammars, JSONObjectFormat())
    with pytest.raises(EngineError, match=f"token {token} "):
        constraint.accept(token)
    complete = constraint_of(grammars, schema_format(PICTURE))
    generate(complete, seed=2)
    with pytest.raises(EngineError, match=f"token {token} "):
        complete.accept(token)


def test_free_text_has_no_constraint(grammars: Grammars) -> None:
    """Free text gets no constraint."""
    assert grammars.constraint(None) is None
    assert grammars.constraint(TextFormat()) is None


def test_a_tokenizer_that_cannot_be_read_is_named() -> None:
    """The error names the culprit and the way out."""
    grammars = Grammars(object(), VOCABULARY, frozenset({0}))
    with pytest.raises(ModelError, match=r"is a object.*without response_format"):
        grammars.constraint(JSONObjectFormat())
