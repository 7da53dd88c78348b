"""Sequences of a batch against the same sequences one at a time, token by token.

Random weights show faults that a trained model hides.

Also after a step that failed, when every sequence is taken up again from its prompt and the tokens that had come out.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.errors import ContextLengthError, EngineError
from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart
from jobs.sampling import Sampling
from tests.support.families import save_model
from tests.support.faults import Breaking, Poisoned
from tests.support.scenes import draw_many
from worker.engine.engine import Engine
from worker.engine.prefill.prefill_chunk_size import MOST_TOKENS
from worker.engine.sequences import Outcome
from worker.models.backends import Backend, TextBackend, VisionBackend
from worker.models.inputs import Prepared
from worker.models.loader import LoadedModel, load

IMAGE = ImagePart(image_url=ImageURL(url="data:image/png;base64,"))
AskedSequence = tuple[Request, list[Image.Image]]


def request(*content: str | ImagePart, **sampling: Any) -> Request:
    """Make a message of text and images, in this order."""
    parts = [TextPart(text=part) if isinstance(part, str) else part for part in content]
    options = Sampling(**{"max_tokens": 20, **sampling})
    return Request(model="any", messages=[Message(role="user", content=parts)], sampling=options)


def mixed_rows(count: int) -> dict[str, AskedSequence]:
    """Make requests with images of many sizes, with text first as often as last, with two images, and with none."""
    pictures = [drawn.image.reduce(2) for drawn in draw_many(count + 1)]
    rows: dict[str, AskedSequence] = {}
    for number, picture in enumerate(pictures[:count]):
        rows[f"image-{number}"] = (request(IMAGE, f"What is number {number}?"), [picture])
        rows[f"text-first-{number}"] = (request("Look here:", IMAGE), [picture])
        rows[f"two-{number}"] = (request(IMAGE, "or", IMAGE, "?"), [picture, pictures[number + 1]])
        rows[f"text-{number}"] = (request("Count to twenty. " * (number + 1)), [])
    return rows


def run(engine: Engine, prepared: dict[str, Prepared], *, every: int = 1) -> dict[str, Outcome]:
    """Admit a sequence every `every` steps while a slot is free; return the outcomes."""
    waiting = list(prepared.items())
    finished: dict[str, Outcome] = {}
    step = 0
    while waiting or engine.busy:
        if waiting and engine.free and step % every == 0:
            engine.admit(*waiting.pop(0))
        finished.update({row.key: row for row in engine.step()})
        step += 1
    return finished


def ids_of(finished: dict[str, Outcome]) -> dict[str, list[int]]:
    """Return the generated ids by key; a failed sequence fails the test."""
    assert [row.error for row in finished.values() if row.error is not None] == []
    return {key: list(row.token_ids) for key, row in finished.items()}


def one_at_a_time(backend: Backend, prepared: dict[str, Prepared]) -> dict[str, list[int]]:
    """Return the ids that each sequence gets in an engine of its own."""
    alone: dict[str, list[int]] = {}
    for key, row in prepared.items():
        alone |= ids_of(run(Engine(backend, slots=1), {key: row}))
    return alone


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A Qwen2-VL with random weights."""
    return load(str(save_model("qwen2_vl", tmp_path_factory.mktemp("models") / "qwen2_vl")))


@pytest.fixture(scope="module")
def prepared(loaded: LoadedModel) -> dict[str, Prepared]:
    """Six prepared requests of each kind."""
    backend = VisionBackend(loaded)
    return {key: backend.prepare(*row) for key, row in mixed_rows(6).items()}


@pytest.fixture(scope="module")
def alone(loaded: LoadedModel, prepared: dict[str, Prepared]) -> dict[str, list[int]]:
    """The ids that each sequence gets by itself."""
    backend = VisionBackend(loaded)
    expected = one_at_a_time(backend, prepared)
    return expected


@pytest.fixture(scope="module")
def text_backend() -> TextBackend:
    """The backend of the built-in text-only model."""
    return TextBackend(load("demo-text"))


def test_random_weights_tell_every_sequence_from_every_other(alone: dict[str, list[int]]) -> None:
    """Equal answers would hide a swap in the tests below."""
    assert len({tuple(ids) for ids in alone.values()}) == len(alone) == 24


@pytest.mark.parametrize(("slots", "every"), [(24, 1), (5, 3)])
def test_sequences_that_join_a_running_batch_get_the_tokens_they_get_by_themselves(
    loaded: LoadedModel, prepared: dict[str, Prepared], alone: dict[str, list[int]], slots: int, every: int
) -> None:
    """Images, text and pairs of images are mixed, with as many slots as sequences and with few."""
    backend = VisionBackend(loaded)
    assert ids_of(run(Engine(backend, slots), prepared, every=every)) == alone


@pytest.mark.parametrize("breaks", [{4}, {9}, {22}, {9, 60}, {12, 13, 14}])
def test_sequences_of_a_broken_batch_go_on_where_they_were(
    loaded: LoadedModel, prepared: dict[str, Prepared], alone: dict[str, list[int]], breaks: set[int]
) -> None:
    """A step fails early, late, twice, or again while the sequences are taken up: no token is lost, doubled or wrong."""
    backend = Breaking(loaded, breaks)
    rows = dict(list(prepared.items())[:8])
    finished = run(Engine(backend, slots=8), rows)
    failed = {key for key, row in finished.items() if row.error is not None}
    # A sequence that ran by itself when the step failed is taken for the culprit.
    assert len(failed) == (2 if breaks == {12, 13, 14} else 0)
    whole = {key: row for key, row in finished.items() if key not in failed}
    assert ids_of(whole) == {key: alone[key] for key in whole}


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_sequence_that_breaks_every_step_fails_by_itself(
    loaded: LoadedModel, prepared: dict[str, Prepared], alone: dict[str, list[int]], after: int
) -> None:
    """The culprit breaks steps from its first, second or middle token on; the others get every token they get by themselves."""
    rows = dict(list(prepared.items())[:6])
    backend = Poisoned(loaded, rows["two-0"], after)
    finished = run(Engine(backend, slots=6), rows)
    error = finished.pop("two-0").error
    assert isinstance(error, EngineError)
    assert error.transient
    assert error.code == "out_of_memory"
    assert "this row cannot be decoded" in error.message
    assert ids_of(finished) == {key: alone[key] for key in finished}


def test_a_sampled_sequence_goes_on_with_its_own_noise(loaded: LoadedModel) -> None:
    """A seeded sequence draws the same tokens when it is taken up in the middle."""
    plain = VisionBackend(loaded)
    pictures = [drawn.image.reduce(2) for drawn in draw_many(4)]
    hot = {str(seed): request(IMAGE, "Go on.", temperature=2.0, seed=seed, top_k=50) for seed in range(4)}
    rows = {key: plain.prepare(asked, [pictures[int(key)]]) for key, asked in hot.items()}
    expected = one_at_a_time(plain, rows)

    backend = Breaking(loaded, {10})
    assert ids_of(run(Engine(backend, slots=4), rows)) == expected


@pytest.mark.parametrize("chunk", [MOST_TOKENS, 8])
def test_cancelled_sequences_leave_no_trace_wherever_they_are(
    loaded: LoadedModel,
    prepared: dict[str, Prepared],
    alone: dict[str, list[int]],
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each sequence is cancelled at some steps of a run: waiting, between two chunks of its prompt, and in its answer."""
    monkeypatch.setattr("worker.engine.prefill.prefill_chunk_size.MOST_TOKENS", chunk)
    backend = VisionBackend(loaded)
    rows = dict(list(prepared.items())[:5])
    for step, key in enumerate([*rows, *rows, *rows]):
        engine = Engine(backend, slots=5)
        for admitted, row in rows.items():
            engine.admit(admitted, row)
        finished = {row.key: row for _ in range(step) for row in engine.step()}
        assert engine.cancel(key)
        assert not engine.cancel(key)
        finished |= run(engine, {})
        assert ids_of(finished) == {other: alone[other] for other in rows if other != key}
        assert engine.free == 5 + 2


def test_requests_that_are_prepared_in_threads_are_what_they_are_in_one(
    loaded: LoadedModel, prepared: dict[str, Prepared]
) -> None:
    """Tokenizer and processor keep state: eight threads at once change nothing in the ids and pixels of any."""
    backend = VisionBackend(loaded)
    rows = mixed_rows(6)
    with ThreadPoolExecutor(8) as threads:
        again = dict(zip(rows, threads.map(lambda row: backend.prepare(*row), rows.values()), strict=True))
    for key, row in prepared.items():
        assert (again[key].ids, again[key].image_tokens) == (row.ids, row.image_tokens)
        assert again[key].inputs.keys() == row.inputs.keys()
        assert all(np.array_equal(again[key].inputs[name], value) for name, value in row.inputs.items())


def test_text_is_what_the_ids_say(text_backend: TextBackend) -> None:
    """Characters of several tokens come out whole, broken characters as U+FFFD, special tokens not at all."""
    tokenizer = text_backend._loaded.processor
    ids = tokenizer.encode("  a naïve 图 🦊 , it said .", add_special_tokens=False)
    assert text_backend.text(ids) == "a naïve 图 🦊 , it said ."
    fox = tokenizer.encode("🦊", add_special_tokens=False)
    assert len(fox) > 1
    assert text_backend.text(fox[:-1]) == "�"
    assert text_backend.text([2, *fox, 2]) == "🦊"


def test_a_prompt_that_fills_the_context_is_refused_with_the_numbers(loaded: LoadedModel) -> None:
    """The library would run on past the end without an error."""
    asked = request(IMAGE, "red " * 2100, max_tokens=8)
    with pytest.raises(
        ContextLengthError, match=r"The prompt has 2\d+ tokens \(4 for images\), and the model takes 2048"
    ):
        VisionBackend(loaded).prepare(asked, [Image.new("RGB", (32, 32))])


def test_an_answer_may_fill_the_context_to_its_end_and_no_further(loaded: LoadedModel) -> None:
    """`max_tokens` is clamped to the rest of the context after the prompt."""
    backend = VisionBackend(loaded)
    picture = Image.new("RGB", (32, 32))
    left = 2048 - len(backend.prepare(request(IMAGE, "red"), [picture]).ids)
    assert backend.prepare(request(IMAGE, "red", max_tokens=left), [picture]).sampling.max_tokens == left
    assert backend.prepare(request(IMAGE, "red", max_tokens=left + 1), [picture]).sampling.max_tokens == left


def test_text_sequences_get_the_tokens_they_get_by_themselves(text_backend: TextBackend) -> None:
    """Prompts of many lengths decode on mlx-lm as they do one at a time."""
    rows = {
        f"{name}-{number}": text_backend.prepare(request(f"{name}. " * number, max_tokens=24), [])
        for number in range(1, 7)
        for name in ("Count to ten", "Name a colour", "What is a star")
    }
    expected = one_at_a_time(text_backend, rows)
    assert ids_of(run(Engine(text_backend, slots=6), rows, every=2)) == expected


def test_text_sequences_are_cancelled_wherever_they_are(text_backend: TextBackend) -> None:
    """Sequences are cancelled while they wait, are prefilled, and decode."""
    rows = {str(number): text_backend.prepare(request("Count to ten. " * number), []) for number in range(1, 5)}
    expected = one_at_a_time(text_backend, rows)
    for step, key in enumerate([*rows, *rows]):
        engine = Engine(text_backend, slots=4)
        for admitted, row in rows.items():
            engine.admit(admitted, row)
        finished = {row.key: row for _ in range(step) for row in engine.step()}
        assert engine.cancel(key)
        finished |= run(engine, {})
        assert ids_of(finished) == {other: expected[other] for other in rows if other != key}


class BreakingGroups:
    """A language model that fails to prefill two prompts together."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        if "inputs_embeds" in options and inputs.shape[0] > 1:
            raise ValueError("rows of unlike shapes")
        return self._model(inputs, **options)


def test_a_group_that_breaks_is_not_tried_for_ever(
    loaded: LoadedModel, prepared: dict[str, Prepared], alone: dict[str, list[int]]
) -> None:
    """Sequences of a group that has failed twice run by themselves to their end, not for one token a try."""
    backend = VisionBackend(loaded)
    backend.language_model = BreakingGroups(backend.language_model)
    rows = dict(list(prepared.items())[:8])
    engine = Engine(backend, slots=8)
    for key, row in rows.items():
        engine.admit(key, row)
    finished: dict[str, Outcome] = {}
    steps = 0
    while engine.busy:
        finished |= {row.key: row for row in engine.step()}
        steps += 1
    assert ids_of(finished) == {key: alone[key] for key in rows}
    # Each sequence's 20 tokens, and the steps of two or three prefills.
    assert steps < 8 * (20 + 12)
