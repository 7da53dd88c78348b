"""The sampler: each sequence of a batch by its own rules."""

from __future__ import annotations

from collections import Counter
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.answer_format.response_format import JSONObjectFormat
from jobs.errors import EngineError
from jobs.sampling import Sampling
from tests.support.scenes import draw_many
from tests.worker.engine.test_engine import ask, run
from worker.engine.engine import Engine
from worker.models.backends import VisionBackend
from worker.models.loader import load
from worker.sampling.grammar import Grammars
from worker.sampling.penalties import Penalties
from worker.sampling.sampler import Sampler

SHARES = np.array([0.5, 0.25, 0.15, 0.07, 0.03])
LOGITS = mx.log(mx.array(SHARES))[None]


def drawn(**sampling: Any) -> Counter[int]:
    """Count the choices of each of the five tokens."""
    sampler = Sampler()
    sampler.add(Sampling(**{"temperature": 1.0, "seed": 5, **sampling}), [])
    return Counter(token for _ in range(4000) for token in sampler(LOGITS).tokens.tolist())


def chosen(rows: dict[str, Sampling], logits: Any, steps: int = 6) -> dict[str, list[int]]:
    """Return the choices of each sequence in some steps over the same logits."""
    sampler = Sampler()
    for sampling in rows.values():
        sampler.add(sampling, [1, 2])
    columns = [sampler(mx.broadcast_to(logits, (len(rows), logits.shape[-1]))).tokens.tolist() for _ in range(steps)]
    return {key: [column[at] for column in columns] for at, key in enumerate(rows)}


def test_greedy_sequences_take_the_likeliest_token_beside_others_that_do_not() -> None:
    """Greedy logits are not touched, also in half precision, in which arithmetic would make ties."""
    logits = mx.random.normal((3, 700), key=mx.random.key(1)).astype(mx.float16)
    sampler = Sampler()
    for sampling in (Sampling(), Sampling(temperature=2.0, seed=1), Sampling()):
        sampler.add(sampling, [])
    tokens = np.array(sampler(logits).tokens)
    best = np.array(mx.argmax(logits, axis=-1))
    assert (tokens[0], tokens[2]) == (best[0], best[2])
    assert tokens[1] != best[1]


def test_samples_follow_the_distribution() -> None:
    """Four thousand draws at temperature 1 against the probabilities."""
    counts = drawn()
    assert np.abs(np.array([counts[token] for token in range(5)]) / 4000 - SHARES).max() < 0.03


def test_a_low_temperature_sharpens() -> None:
    """At 0.5 the probabilities are squared."""
    assert drawn(temperature=0.5)[0] / 4000 == pytest.approx(0.25 / 0.3434, abs=0.03)


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        ({"top_k": 2}, {0, 1}),
        ({"top_k": 5}, {0, 1, 2, 3, 4}),
        ({"top_p": 0.74}, {0, 1}),
        ({"top_p": 0.76}, {0, 1, 2}),
        ({"top_p": 0.1}, {0}),
        ({"min_p": 0.25}, {0, 1, 2}),
        ({"top_k": 3, "top_p": 0.6}, {0, 1}),
        ({"logit_bias": {0: -100.0, 3: -100.0}}, {1, 2, 4}),
        ({"logit_bias": {4: 100.0}}, {4}),
    ],
)
def test_excluded_tokens_are_never_drawn(sampling: dict[str, Any], possible: set[int]) -> None:
    """top_k, top_p, min_p and bias are tested one at a time and combined."""
    assert set(drawn(**sampling)) == possible


@given(order=st.permutations(range(6)), leaving=st.sets(st.integers(0, 5), max_size=3), at=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_a_sequence_chooses_the_same_in_any_batch(order: list[int], leaving: set[int], at: int) -> None:
    """The other sequences, their order, and those that leave at some step change nothing."""
    rules = [
        Sampling(temperature=1.5, seed=1),
        Sampling(temperature=0.7, seed=2, top_p=0.9),
        Sampling(temperature=1.5, seed=3, top_k=20),
        Sampling(),
        Sampling(frequency_penalty=1.5, repetition_penalty=1.3),
        Sampling(temperature=1.5, seed=6, presence_penalty=1.0, logit_bias={5: 2.0}),
    ]
    logits = mx.random.normal((1, 60), key=mx.random.key(9)) * 2
    alone = [chosen({"row": one}, logits)["row"] for one in rules]
    sampler, rows = Sampler(), list(order)
    for row in rows:
        sampler.add(rules[row], [1, 2])
    given_tokens: dict[int, list[int]] = {row: [] for row in rows}
    for step in range(6):
        if step == at:
            staying = [index for index, row in enumerate(rows) if row not in leaving]
            sampler.keep(staying)
            rows = [rows[index] for index in staying]
        tokens = sampler(mx.broadcast_to(logits, (len(rows), 60))).tokens.tolist()
        for row, token in zip(rows, tokens, strict=True):
            given_tokens[row].append(token)
    for row, tokens in given_tokens.items():
        assert tokens == alone[row][: len(tokens)]


def test_a_sequence_that_is_taken_up_again_chooses_as_it_would_have() -> None:
    """Noise and penalties go on from the tokens that had come out."""
    logits = mx.random.normal((1, 60), key=mx.random.key(3))
    sampling = Sampling(temperature=1.5, seed=7, presence_penalty=1.0, frequency_penalty=0.5, repetition_penalty=1.2)
    whole = chosen({"row": sampling}, logits)["row"]
    again = Sampler()
    again.add(sampling, [1, 2], whole[:3])
    assert [again(logits).tokens.item() for _ in range(3)] == whole[3:]


def test_penalties_are_what_their_papers_say() -> None:
    """Against the same arithmetic in numpy: repetition_penalty also counts the prompt, the other two only the answer."""
    sampling = Sampling(
        repetition_penalty=1.5, presence_penalty=0.7, frequency_penalty=0.3, logit_bias={7: 1.25, 9999: 5.0}
    )
    logits = np.linspace(-2, 2, 12, dtype=np.float32)
    expected = logits.copy()
    for token in {0, 9, 3, 10}:
        expected[token] = expected[token] / 1.5 if expected[token] > 0 else expected[token] * 1.5
    for token, count in {3: 2, 10: 1}.items():
        expected[token] -= 0.7 + 0.3 * count
    expected[7] += 1.25
    penalties = Penalties(sampling, prompt_ids=[0, 9, -200, 12], generated=[3, 10, 3])
    assert np.allclose(np.array(penalties(mx.array(logits))), expected, atol=1e-6)


def test_log_probabilities_are_the_models_own() -> None:
    """Temperature and bias change only the choice; sequences that did not ask have no log-probabilities."""
    logits = mx.random.normal((3, 50), key=mx.random.key(4)).astype(mx.float16)
    sampler = Sampler()
    sampler.add(Sampling(temperature=2.0, seed=1, logit_bias={3: 50.0}, logprobs=True, top_logprobs=2), [])
    sampler.add(Sampling(), [])
    sampler.add(Sampling(logprobs=True, top_logprobs=5), [])
    tokens = sampler(logits).read()
    wide = np.array(logits).astype(np.float64)
    own = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    assert tokens[0].id == 3
    for row, count in ((0, 2), (2, 5)):
        assert tokens[row].logprob == pytest.approx(own[row, tokens[row].id], abs=1e-3)
        best = np.argsort(-own[row])[:count]
        assert [token for token, _ in tokens[row].top[:count]] == best.tolist()
        assert [value for _, value in tokens[row].top[:count]] == pytest.approx(own[row, best].tolist(), abs=1e-3)
    assert tokens[1].logprob is None
    assert tokens[1].top == ()


def test_reports_stay_with_their_sequences_when_sequences_join_and_leave() -> None:
    """The choice of two batches joined, then filtered, gives each sequence its own token."""
    logits = mx.random.normal((2, 50), key=mx.random.key(4))
    first, second = Sampler(), Sampler()
    for sampler in (first, second):
        sampler.add(Sampling(logprobs=True, top_logprobs=2), [])
        sampler.add(Sampling(), [])
    one, other = first(logits), second(logits * 0.5)
    joined = one.extended(other)
    assert joined.read() == one.read() + other.read()
    assert joined.kept([3, 2, 0]).read() == [other.read()[1], other.read()[0], one.read()[0]]


def test_a_seeded_sequence_is_the_same_whatever_its_neighbours_are() -> None:
    """A seeded sequence is the same by itself and among others that join before and after; greedy ones stay greedy."""
    backend = VisionBackend(load("demo"))
    pictures = draw_many(6)
    hot: dict[str, Any] = {"temperature": 2.0, "seed": 3, "max_tokens": 24}
    seeded = backend.prepare(ask("Describe this image.", **hot), [pictures[0].image])
    by_itself = run(Engine(backend), {"seeded": seeded})["seeded"]
    rows = {
        "other": backend.prepare(
            ask("Describe this image.", temperature=2.0, seed=4, max_tokens=24), [pictures[0].image]
        ),
        **{f"greedy-{n}": backend.prepare(ask("Describe this image."), [pictures[n].image]) for n in range(1, 4)},
        "seeded": seeded,
        **{f"greedy-{n}": backend.prepare(ask("Describe this image."), [pictures[n].image]) for n in range(4, 6)},
    }
    finished = run(Engine(backend, slots=4), rows, stagger=2)
    assert finished["seeded"].token_ids == by_itself.token_ids
    assert finished["other"].token_ids != by_itself.token_ids
    assert by_itself.answer.text != pictures[0].caption
    for number in range(1, 6):
        assert finished[f"greedy-{number}"].answer.text == pictures[number].caption


def test_sequences_that_follow_a_grammar_do_so_among_others() -> None:
    """Constrained sequences give JSON, greedy and sampled; the others are unchanged."""
    model = load("demo")
    tokenizer = model.processor.tokenizer
    grammars = Grammars(tokenizer, 666, model.eos)
    rules = [Sampling(), Sampling(), Sampling(temperature=1.0, seed=3, top_p=0.9), Sampling(temperature=1.0, seed=4)]
    constraints = [None, grammars.constraint(JSONObjectFormat()), grammars.constraint(JSONObjectFormat()), None]
    sampler, free = Sampler(), Sampler()
    for one, constraint in zip(rules, constraints, strict=True):
        sampler.add(one, [], (), constraint)
        free.add(one, [])
    assert sampler.needs_tokens
    assert not free.needs_tokens
    answers: list[list[int]] = [[] for _ in rules]
    for position in range(30):
        logits = mx.array(np.random.default_rng(position).normal(0, 2, (4, 666)))
        tokens = np.array(sampler(logits).tokens).tolist()
        others = np.array(free(logits).tokens).tolist()
        assert (tokens[0], tokens[3]) == (others[0], others[3])
        for answer, token in zip(answers, tokens, strict=True):
            answer.append(token)
        sampler.observe(tokens)
    for row in (1, 2):
        again = grammars.constraint(JSONObjectFormat())
        assert again is not None
        again.accept_all(answers[row])
        assert tokenizer.decode(answers[row]).startswith("{")
    assert not tokenizer.decode(answers[0]).startswith("{")


def test_as_many_logits_as_sequences_are_wanted() -> None:
    """A batch that lost count would give a sequence another's rules."""
    sampler = Sampler()
    sampler.add(Sampling(), [])
    with pytest.raises(EngineError, match="logits for 2 sequences, but rules for 1"):
        sampler(mx.zeros((2, 9)))


@pytest.mark.parametrize("width", [600, 720])
def test_a_grammar_bears_more_or_fewer_logits_than_it_knows_tokens(width: int) -> None:
    """A token that the grammar does not know is not allowed, however likely."""
    model = load("demo")
    sampler = Sampler()
    sampler.add(Sampling(), [], (), Grammars(model.processor.tokenizer, 666, model.eos).constraint(JSONObjectFormat()))
    token = sampler(mx.arange(width, dtype=mx.float32)[None]).tokens.item()
    assert model.processor.tokenizer.decode([token]).startswith("{")
