"""The batched sampler: rows with rules of their own in one batch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.errors import EngineError, InvalidRequestError
from jobs.requests import Sampling
from jobs.response_format import JSONObjectFormat
from worker.grammar import Grammars
from worker.loader import load
from worker.rules import rewrite
from worker.sampling import Sampler, check_biases

SHARES = [0.5, 0.25, 0.15, 0.07, 0.03]
#: Odd, so that no row of noise begins where a power of two does.
VOCABULARY = 61

#: One of every kind, and some that mix.
RULES: list[dict[str, Any]] = [
    {},
    {"temperature": 0.8},
    {"temperature": 1.5, "top_k": 7},
    {"temperature": 1.2, "top_k": 20, "top_p": 0.8},
    {"temperature": 1.0, "top_p": 0.7},
    {"temperature": 2.0, "min_p": 0.1},
    {"repetition_penalty": 1.3},
    {"presence_penalty": 1.0, "frequency_penalty": 0.5, "temperature": 1.0},
    {"logit_bias": {3: 5.0, 9: -100.0}},
    {"temperature": 2.0, "logprobs": True, "top_logprobs": 3, "logit_bias": {1: 2.0}},
    {"temperature": 1.0, "top_p": 0.9, "top_k": 50, "min_p": 0.02, "repetition_penalty": 0.8},
]


def logits_at(row: int, position: int) -> NDArray[np.float32]:
    """Made-up logits of a row, which depend on nothing else."""
    made: NDArray[np.float32] = np.random.default_rng([row, position]).normal(0, 2, VOCABULARY).astype(np.float32)
    return made


def prompt_of(row: int) -> list[int]:
    """Every second id, and markers that are none."""
    return [*range(row % 2, VOCABULARY, 2), -200, VOCABULARY + 5]


def alone(row: int, rules: dict[str, Any], steps: int, after: Sequence[int] = ()) -> list[int]:
    """The tokens of a row that has the batch for itself."""
    sampler = Sampler()
    sampler.add(Sampling(seed=row, **rules), prompt_of(row), after)
    steps_left = range(len(after), steps)
    return [int(np.array(sampler(mx.array(logits_at(row, position)[None])).tokens)[0]) for position in steps_left]


def draws(count: int = 4000, **rules: Any) -> Counter[int]:
    """How often each of five tokens is chosen at so many positions."""
    sampler = Sampler()
    sampler.add(Sampling(**{"temperature": 1.0, "seed": 5, **rules}), [])
    logits = mx.log(mx.array([SHARES]))
    tokens = [sampler(logits).tokens for _ in range(count)]
    return Counter(np.array(mx.concatenate(tokens)).tolist())


def test_draws_follow_the_distribution() -> None:
    """Chi-square of four thousand draws, for four degrees of freedom: 18.5 is exceeded once in a thousand times."""
    counts = draws()
    expected = np.array(SHARES) * 4000
    assert sum((counts[token] - expected[token]) ** 2 / expected[token] for token in range(5)) < 18.5


def test_rows_without_a_seed_differ() -> None:
    """Sixteen rows with the same logits, at one step."""
    sampler = Sampler()
    for _ in range(16):
        sampler.add(Sampling(temperature=1.0), [])
    assert len(set(np.array(sampler(mx.zeros((16, 1000))).tokens).tolist())) > 10


def test_a_low_temperature_sharpens() -> None:
    """At 0.5 the probabilities are squared."""
    assert draws(temperature=0.5)[0] / 4000 == pytest.approx(0.25 / 0.3434, abs=0.03)


RESTRICTIONS: list[tuple[dict[str, float], set[int]]] = [
    ({"top_k": 2}, {0, 1}),
    ({"top_k": 5}, {0, 1, 2, 3, 4}),
    ({"top_k": 99}, {0, 1, 2, 3, 4}),
    ({"top_p": 0.74}, {0, 1}),
    ({"top_p": 0.76}, {0, 1, 2}),
    ({"top_p": 0.1}, {0}),
    ({"min_p": 0.25}, {0, 1, 2}),
    ({"min_p": 0.25, "top_p": 0.8}, {0, 1}),
    ({"top_k": 3, "top_p": 0.6}, {0, 1}),
    ({"top_k": 4, "min_p": 0.25}, {0, 1, 2}),
    ({}, {0, 1, 2, 3, 4}),
]


def test_excluded_tokens_are_never_drawn() -> None:
    """top_k, top_p and min_p, each row by its own in one batch, and alone."""
    sampler = Sampler()
    for seed, (rules, _) in enumerate(RESTRICTIONS):
        sampler.add(Sampling(temperature=1.0, seed=seed, **rules), [])
    logits = mx.log(mx.array([SHARES] * len(RESTRICTIONS)))
    tokens = np.array(mx.stack([sampler(logits).tokens for _ in range(1000)]))
    for row, (rules, possible) in enumerate(RESTRICTIONS):
        assert set(tokens[:, row].tolist()) == possible, rules
        assert set(draws(1000, **rules)) == possible, rules


@pytest.mark.parametrize("seed", range(6))
def test_a_rows_tokens_do_not_depend_on_its_neighbours(seed: int) -> None:
    """In companies that come, go and change places; rows that are taken up again go on as they would have."""
    steps = 12
    expected = {row: alone(row, RULES[row % len(RULES)], steps) for row in range(22)}
    choices = random.Random(seed)
    waiting = choices.sample(range(22), 22)
    sampler = Sampler()
    batch: list[int] = []
    got: dict[int, list[int]] = {row: [] for row in waiting}
    while waiting or batch:
        for row in [waiting.pop() for _ in range(min(len(waiting), choices.randint(0, 4)))]:
            sampler.add(Sampling(seed=row, **RULES[row % len(RULES)]), prompt_of(row), got[row])
            batch.append(row)
        if choices.random() < 0.5:
            stay = choices.sample(range(len(batch)), len(batch) - choices.randint(0, len(batch) // 4))
            waiting += [batch[place] for place in set(range(len(batch))) - set(stay)]
            sampler.keep(stay)
            batch = [batch[place] for place in stay]
        if not batch:
            continue
        logits = mx.array(np.stack([logits_at(row, len(got[row])) for row in batch]))
        for row, token in zip(batch, np.array(sampler(logits).tokens).tolist(), strict=True):
            got[row].append(token)
        running = [place for place, row in enumerate(batch) if len(got[row]) < steps]
        if len(running) < len(batch):
            sampler.keep(running)
            batch = [batch[place] for place in running]
    assert got == expected


def test_a_row_goes_on_as_it_would_have_when_it_is_taken_up_again() -> None:
    """After every one of its tokens, whatever its rules are."""
    for row, rules in enumerate(RULES):
        whole = alone(row, rules, 8)
        for cut in range(8):
            assert alone(row, rules, 8, whole[:cut]) == whole[cut:], rules


def test_greedy_rows_take_the_largest_logit_whatever_stands_beside_them() -> None:
    """Of half precision too; and what came in is not changed."""
    logits = mx.array(np.stack([logits_at(row, 0) for row in range(len(RULES) * 2)])).astype(mx.bfloat16)
    before = np.array(logits.astype(mx.float32))
    sampler = Sampler()
    for row in range(len(RULES)):
        sampler.add(Sampling(), [])
        sampler.add(Sampling(**RULES[row]), prompt_of(row))
    tokens = np.array(sampler(logits).tokens)
    assert tokens[::2].tolist() == before.argmax(axis=-1)[::2].tolist()
    assert np.array_equal(np.array(logits.astype(mx.float32)), before)


def test_rewriting_some_rows_leaves_the_array_as_it_was() -> None:
    """mlx assigns in place, and the logits are somebody else's."""
    scores = mx.zeros((3, 2))
    rewritten = rewrite(scores, [0, 2], lambda some: some + 1)
    assert np.array(rewritten).tolist() == [[1, 1], [0, 0], [1, 1]]
    assert np.array(scores).tolist() == [[0, 0]] * 3


def test_noise_comes_from_mlxs_own_keys() -> None:
    """A row's draw is that of `mx.random.key` of its seed and position, so it can be had without a batch."""
    seed = 2**62 + 12345
    sampler = Sampler()
    for one in (1, seed, 2):
        sampler.add(Sampling(temperature=1.0, seed=one), [])
    scores = mx.array(logits_at(0, 0))
    tokens = np.array(sampler(mx.stack([scores] * 3)).tokens)
    noise = mx.random.gumbel((VOCABULARY,), key=mx.random.key(seed))
    assert tokens[1] == np.array(scores + noise).argmax()


@pytest.mark.parametrize("penalised", [[0], [0, 1]])
def test_penalties_match_their_definitions(penalised: list[int]) -> None:
    """Against numpy, over twenty tokens: of a row by itself, and of one of three."""
    rules = {"repetition_penalty": 1.4, "presence_penalty": 0.7, "frequency_penalty": -0.9, "logit_bias": {5: 1.5}}
    sampler = Sampler()
    for row in range(3):
        sampler.add(Sampling(**rules) if row in penalised else Sampling(), prompt_of(row), [4, 4])
    answers = {row: [4, 4] for row in penalised}
    different = False
    for position in range(20):
        raw = np.stack([logits_at(row, position) for row in range(3)])
        tokens = np.array(sampler(mx.array(raw)).tokens)
        for row, answer in answers.items():
            scores = raw[row].copy()
            for token in {token for token in prompt_of(row) + answer if 0 <= token < VOCABULARY}:
                scores[token] = scores[token] / 1.4 if scores[token] > 0 else scores[token] * 1.4
            for token, count in Counter(answer).items():
                scores[token] -= 0.7 - 0.9 * count
            scores[5] += 1.5
            assert tokens[row] == scores.argmax()
            answer.append(int(tokens[row]))
            different |= scores.argmax() != raw[row].argmax()
    assert different


def test_a_bias_forces_and_forbids() -> None:
    """OpenAI's ±100; one of a token that the model does not have is refused beforehand, and passed over here."""
    assert set(draws(200, logit_bias={4: 100.0})) == {4}
    assert 0 not in draws(500, logit_bias={0: -100.0, 7: 100.0})
    check_biases(Sampling(logit_bias={4: 1.0}), 5)
    with pytest.raises(InvalidRequestError, match=r"token 5, .* ends at 4"):
        check_biases(Sampling(logit_bias={5: 1.0}), 5)


def test_logprobs_are_the_models_own() -> None:
    """The log-softmax of what came in, whatever temperature and bias made of it."""
    sampler = Sampler()
    rules: list[dict[str, Any]] = [
        {},
        {"temperature": 2.0, "logit_bias": {3: 4.0}, "logprobs": True, "top_logprobs": 2},
        {"logprobs": True},
        {"logprobs": True, "top_logprobs": 5, "top_k": 2, "temperature": 1.0, "presence_penalty": 2.0},
    ]
    for row, one in enumerate(rules):
        sampler.add(Sampling(seed=row, **one), [], [1, 2])
    raw = np.stack([logits_at(row, 0) for row in range(4)])
    expected = raw - np.log(np.exp(raw.astype(np.float64)).sum(axis=-1, keepdims=True))
    sampled = sampler(mx.array(raw))
    assert sampled.logprobs is not None
    assert sampled.top_tokens is not None
    assert sampled.top_logprobs is not None
    assert sampled.top_tokens.shape == sampled.top_logprobs.shape == (4, 5)
    tokens = np.array(sampled.tokens)
    for row in (1, 2, 3):
        assert float(np.array(sampled.logprobs)[row]) == pytest.approx(expected[row, tokens[row]], abs=1e-5)
        best = np.argsort(-raw[row])[:5]
        assert np.array(sampled.top_tokens[row]).tolist() == best.tolist()
        assert np.array(sampled.top_logprobs[row]) == pytest.approx(expected[row, best], abs=1e-5)


def test_logprobs_come_to_those_who_ask() -> None:
    """Nothing is computed for nobody."""
    sampler = Sampler()
    sampler.add(Sampling(), [])
    assert sampler(mx.zeros((1, 9))).logprobs is None
    sampler.add(Sampling(logprobs=True), [])
    sampled = sampler(mx.zeros((2, 9)))
    assert sampled.logprobs is not None
    assert sampled.top_tokens is None
    sampler.keep([0])
    assert sampler(mx.zeros((1, 9))).logprobs is None


def test_rows_that_follow_a_grammar_do_so_among_others() -> None:
    """JSON comes out of theirs, greedy and sampled; the others are what they are alone."""
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


def test_a_grammar_is_not_followed_blindly() -> None:
    """Its row needs its last token; rows that joined since have none to tell."""
    model = load("demo-text")
    grammars = Grammars(model.processor, 666, model.eos)
    sampler = Sampler()
    sampler.add(Sampling(), [], (), grammars.constraint(JSONObjectFormat()))
    tokens = np.array(sampler(mx.zeros((1, 666))).tokens).tolist()
    with pytest.raises(EngineError, match="not observed"):
        sampler(mx.zeros((1, 666)))
    sampler.add(Sampling(), [])
    with pytest.raises(EngineError, match="2 tokens were observed, but 1 rows"):
        sampler.observe([*tokens, 0])
    sampler.observe(tokens)
    assert sampler(mx.zeros((2, 666))).tokens.shape == (2,)


def test_as_many_logits_as_rows_are_wanted() -> None:
    """A batch that lost count would give a row another's rules."""
    sampler = Sampler()
    sampler.add(Sampling(), [])
    with pytest.raises(EngineError, match="logits for 2 rows, but rules for 1"):
        sampler(mx.zeros((2, 9)))
