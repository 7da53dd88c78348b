"""Random mixed batches: each sequence gets the tokens that it gets by itself, whenever others come and go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.answer_format.response_format import JSONSchemaFormat
from jobs.requests import Request
from tests.support.families import save_model
from tests.support.scenes import draw_many
from tests.worker.engine.test_engine import ask, run
from tools.demo_model import texts
from worker.engine.engine import Engine
from worker.engine.sequences import Outcome
from worker.models.backends import Backend, make_backend
from worker.models.inputs import Prepared
from worker.models.loader import load

MODELS = ("demo", "demo-text", "qwen3_vl")
#: Prepared requests of each model that examples choose from.
KINDS = 15
SCHEMA = {
    "type": "object",
    "properties": {"shapes": {"type": "array", "items": {"type": "string", "maxLength": 12}, "maxItems": 2}},
    "required": ["shapes"],
    "additionalProperties": False,
}
#: Rules of the requests: every third is greedy, and each other one has rules of its own.
RULES: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 2.0, "seed": 5, "top_k": 40},
    {"frequency_penalty": 1.0, "repetition_penalty": 1.3},
    {},
    {"temperature": 1.5, "seed": 6, "top_p": 0.8, "min_p": 0.02},
    {"stop": ["on a", "e"]},
    {},
    {"logprobs": True, "top_logprobs": 3, "presence_penalty": 1.5},
    {"logit_bias": {345: -50.0, 20: 2.0}},
)


@dataclass(frozen=True)
class Visit:
    """A sequence of an example."""

    kind: int
    arrives: int
    #: Steps from the arrival to the cancellation; None: the sequence ends by itself.
    leaves: int | None
    urgent: bool


@dataclass(frozen=True)
class Guests:
    """A model, prepared requests for it, and the outcome of each by itself."""

    backend: Backend
    rows: list[Prepared]
    alone: list[Outcome]


def make_row(number: int, *, sees: bool) -> tuple[Request, list[Image.Image]]:
    """Make prompts of many lengths with rules of all kinds; none, one or two pictures of ten sizes, before or after the text."""
    pictures = [drawn.image for drawn in draw_many(KINDS + 1)]
    images = (1, 1, 2, 0)[number % 4] if sees else 0
    prompt = texts.CAPTION_PROMPTS[number % len(texts.CAPTION_PROMPTS)] if images == 1 else "Describe both images."
    prompt = prompt if images else "Count to ten. " * (1 + number % 5)
    rules = RULES[number % len(RULES)]
    request = ask(prompt, images, text_first=number % 8 == 5, **{"max_tokens": 4 + number, **rules})
    if number % 7 == 3:
        schema = {"type": "json_schema", "json_schema": {"name": "shapes", "schema": SCHEMA}}
        request = request.model_copy(update={"response_format": JSONSchemaFormat.model_validate(schema)})
    return request, pictures[number : number + images]


@pytest.fixture(scope="module")
def guests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Guests]:
    """Guests by model. The third model has random weights, which forgive nothing."""
    folders: dict[str, str | Path] = {"qwen3_vl": save_model("qwen3_vl", tmp_path_factory.mktemp("models"))}
    found = {}
    for model in MODELS:
        backend = make_backend(load(str(folders.get(model, model))))
        rows = [backend.prepare(*make_row(number, sees=model != "demo-text")) for number in range(KINDS)]
        alone = [run(Engine(backend, slots=1), {"row": row})["row"] for row in rows]
        found[model] = Guests(backend, rows, alone)
    return found


def visits() -> st.SearchStrategy[list[Visit]]:
    """Draw up to a dozen sequences, some of which are cancelled."""
    visit = st.builds(
        Visit,
        kind=st.integers(0, KINDS - 1),
        arrives=st.integers(0, 30),
        leaves=st.none() | st.none() | st.integers(0, 25),
        urgent=st.booleans(),
    )
    return st.lists(visit, min_size=2, max_size=12)


def host(engine: Engine, rows: list[Prepared], visits: list[Visit]) -> dict[str, Outcome]:
    """Let the sequences come and go; return the outcomes of those that ended."""
    finished: dict[str, Outcome] = {}
    step = 0
    while engine.busy or step <= max(visit.arrives + (visit.leaves or 0) for visit in visits):
        for number, visit in enumerate(visits):
            if visit.arrives == step:
                engine.admit(str(number), rows[visit.kind], urgent=visit.urgent)
            if visit.leaves is not None and visit.arrives + visit.leaves == step and str(number) not in finished:
                assert engine.cancel(str(number))
        for row in engine.step(coming=step < 20):
            assert row.key not in finished
            finished[row.key] = row
        step += 1
    return finished


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visits=visits(), slots=st.integers(1, 12), group=st.integers(1, 8), chunk=st.sampled_from([8, 64, 2048]))
def test_a_sequence_of_a_changing_batch_gets_the_tokens_it_gets_by_itself(
    guests: dict[str, Guests],
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    visits: list[Visit],
    slots: int,
    group: int,
    chunk: int,
) -> None:
    """Ids, text, finish reason and log-probabilities are equal; cancelled sequences leave no trace."""
    monkeypatch.setattr("worker.engine.prefill.prefill_chunk_size.MOST_TOKENS", chunk)
    given_rows = host(Engine(guests[model].backend, slots, group), guests[model].rows, visits)
    for number, visit in enumerate(visits):
        row, alone = given_rows.get(str(number)), guests[model].alone[visit.kind]
        if row is None:
            assert visit.leaves is not None
            continue
        assert row.error is None
        given_answer, alone_answer = (
            (row.answer.text, row.answer.finish_reason),
            (alone.answer.text, alone.answer.finish_reason),
        )
        assert (row.token_ids, given_answer) == (alone.token_ids, alone_answer)
        mine, its = [one.logprob for one in row.tokens], [one.logprob for one in alone.tokens]
        assert mine == its or mine == pytest.approx(its, abs=0.02)


def test_the_sequences_are_worth_telling_apart(guests: dict[str, Guests]) -> None:
    """Equal answers would hide a swap, and each rule changes something."""
    alone = guests["qwen3_vl"].alone
    assert len({row.token_ids for row in alone}) == KINDS
    assert {row.answer.finish_reason for row in alone} == {"stop", "length"}
    assert any(row.tokens[0].logprob is not None for row in alone if row.tokens)
