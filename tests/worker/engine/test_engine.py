"""The engine: sequences join, leave and fail without changing the others of their batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from mlx_vlm import stream_generate
from PIL import Image

from jobs.errors import EngineError, ImagesNotSupportedError
from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart
from jobs.sampling import Sampling
from tests.support.faults import Breaking, Poisoned
from tests.support.scenes import SIZES, Drawn, draw_many
from tools.demo_model import texts
from worker.engine.engine import Engine
from worker.engine.sequences import Outcome
from worker.models.backends import Backend, VisionBackend, make_backend
from worker.models.inputs import Prepared
from worker.models.loader import LoadedModel, load
from worker.models.text.chat_template import ChatTemplate
from worker.models.vision.feature_memory import ImageFeatures
from worker.models.vision.processor_inputs import image_keys

PLACEHOLDER = ImagePart(image_url=ImageURL(url="data:image/png;base64,"))


@pytest.fixture(scope="module")
def vision() -> LoadedModel:
    """The built-in vision model."""
    return load("demo")


@pytest.fixture(scope="module")
def backend(vision: LoadedModel) -> VisionBackend:
    """The backend of the vision model."""
    return VisionBackend(vision)


@pytest.fixture(scope="module")
def text_backend() -> Backend:
    """The backend of the built-in text-only model."""
    return make_backend(load("demo-text"))


def ask(prompt: str, images: int = 1, *, text_first: bool = False, **sampling: Any) -> Request:
    """Make a question about some images."""
    pictures = [PLACEHOLDER] * images
    text = TextPart(text=prompt)
    content = [text, *pictures] if text_first else [*pictures, text]
    sampling = {"max_tokens": 64, **sampling}
    return Request(model="demo", messages=[Message(role="user", content=content)], sampling=Sampling(**sampling))


def run(engine: Engine, rows: dict[str, Prepared], stagger: int = 0) -> dict[str, Outcome]:
    """Admit all sequences as slots come free, or one every `stagger` steps; return their outcomes."""
    waiting = list(rows.items())
    finished: dict[str, Outcome] = {}
    steps = 0
    while waiting or engine.busy:
        while waiting and engine.free and (not stagger or steps % stagger == 0):
            engine.admit(*waiting.pop(0))
            if stagger:
                break
        steps += 1
        for row in engine.step():
            assert row.key not in finished
            finished[row.key] = row
    return finished


def alone(vision: LoadedModel, backend: VisionBackend, request: Request, images: list[Image.Image]) -> list[int]:
    """Return the ids that mlx-vlm generates when it decodes only this request."""
    prompt = ChatTemplate(vision.processor, vision.config).prompt(request.messages)
    stream = stream_generate(
        vision.model, vision.processor, prompt, image=images or None, max_tokens=64, temperature=0.0
    )
    ids = [part.token for part in stream if part.finish_reason is None]
    return [token for token in ids if token not in vision.eos]


def mixed_requests(pictures: list[Drawn]) -> dict[str, tuple[Request, list[Image.Image], str | None]]:
    """Make a different question about each picture, with the right answer if the model is known to give it."""
    mixed: dict[str, tuple[Request, list[Image.Image], str | None]] = {}
    for number, drawn in enumerate(pictures):
        prompt = texts.CAPTION_PROMPTS[number % len(texts.CAPTION_PROMPTS)]
        match number % 4:
            case 0 | 1:
                mixed[str(number)] = (ask(prompt), [drawn.image], drawn.caption)
            case 2:
                mixed[str(number)] = (ask(drawn.question(number)[0]), [drawn.image], None)
            case _:
                mixed[str(number)] = (ask("Return JSON."), [drawn.image], None)
    return mixed


@pytest.mark.parametrize("count", [24, pytest.param(64, marks=pytest.mark.thorough)])
def test_many_pictures_at_once_get_the_tokens_each_gets_by_itself(
    vision: LoadedModel, backend: VisionBackend, count: int
) -> None:
    """Ten sizes, different prompts, one run: every sequence is compared id by id with mlx-vlm, which decodes one at a time."""
    requests = mixed_requests(draw_many(count))
    assert len({image.size for _, images, _ in requests.values() for image in images}) == len(SIZES)
    expected = {key: alone(vision, backend, request, images) for key, (request, images, _) in requests.items()}
    assert len({tuple(ids) for ids in expected.values()}) > 0.8 * count
    prepared = {key: backend.prepare(request, images) for key, (request, images, _) in requests.items()}
    finished = run(Engine(backend, slots=16), prepared)
    wrong = [key for key, row in finished.items() if list(row.token_ids) != expected[key]]
    assert wrong == []
    for key, (_, _, caption) in requests.items():
        assert caption is None or finished[key].answer.text == caption


def test_pictures_text_and_pairs_may_mix_and_join_late(vision: LoadedModel, backend: VisionBackend) -> None:
    """Sequences with no image, one and two join a running batch one after the other."""
    pictures = draw_many(8)
    rows: dict[str, tuple[Request, list[Image.Image]]] = {}
    for number, drawn in enumerate(pictures):
        other = pictures[(number + 1) % len(pictures)]
        rows[f"image-{number}"] = (ask("Describe this image.", text_first=number % 2 == 0), [drawn.image])
        rows[f"pair-{number}"] = (ask("Describe both images.", 2), [drawn.image, other.image])
        if number % 3 == 0:
            rows[f"text-{number}"] = (ask("Count to twenty.", 0), [])
    expected = {key: alone(vision, backend, *row) for key, row in rows.items()}
    finished = run(Engine(backend, slots=8), {key: backend.prepare(*row) for key, row in rows.items()}, stagger=3)
    assert {key: list(row.token_ids) for key, row in finished.items()} == expected


def test_usage_is_counted_from_ids(backend: VisionBackend) -> None:
    """Image tokens are part of the prompt; the stop token is not part of the answer."""
    drawn = draw_many(1)[0]
    prepared = backend.prepare(ask("Describe this image."), [drawn.image])
    row = run(Engine(backend), {"a": prepared})["a"]
    assert row.answer.finish_reason == "stop"
    assert row.answer.prompt_tokens == len(prepared.ids)
    assert row.answer.image_tokens == prepared.ids.count(6) == 16
    assert row.answer.completion_tokens == len(row.token_ids)
    assert row.answer.text == drawn.caption
    assert row.answer.prefill_seconds > 0
    assert row.answer.decode_seconds > 0


def test_an_answer_that_is_cut_off_says_so(backend: VisionBackend) -> None:
    """finish_reason is `length`, and the answer has exactly `max_tokens` tokens."""
    prepared = backend.prepare(ask("Describe this image.", max_tokens=3), [draw_many(1)[0].image])
    row = run(Engine(backend), {"a": prepared})["a"]
    assert (row.answer.finish_reason, row.answer.completion_tokens) == ("length", 3)


def test_a_cancelled_sequence_leaves_its_neighbours_unchanged(backend: VisionBackend) -> None:
    """A sequence is cancelled in the middle of its answer, and another while it waits."""
    pictures = draw_many(6)
    engine = Engine(backend, slots=6)
    for number, drawn in enumerate(pictures):
        engine.admit(str(number), backend.prepare(ask("Describe this image."), [drawn.image]))
    finished = [row for _ in range(6) for row in engine.step()]
    assert engine.cancel("1")
    assert engine.cancel("5")
    assert not engine.cancel("nobody")
    while engine.busy:
        finished += engine.step()
    given = {row.key: row.answer.text for row in finished}
    assert given == {str(number): drawn.caption for number, drawn in enumerate(pictures) if number not in (1, 5)}
    assert engine.free == 6 + 3


def test_a_sequence_that_breaks_the_batch_fails_by_itself(vision: LoadedModel) -> None:
    """The other sequences give the same answers as without the fault, and the engine goes on."""
    backend = Poisoned(vision)
    pictures = draw_many(5)
    prepared = {
        str(number): backend.prepare(ask("Describe this image."), [d.image]) for number, d in enumerate(pictures)
    }
    culprit = backend.prepare(ask("Which shapes do you know?"), [pictures[2].image])
    backend.culprit = culprit
    prepared["2"] = culprit
    engine = Engine(backend, slots=5)
    finished = run(engine, prepared)
    assert isinstance(finished["2"].error, EngineError)
    assert "this row cannot be decoded" in finished["2"].error.message
    rest = {key: row.answer.text for key, row in finished.items() if key != "2"}
    assert rest == {str(number): drawn.caption for number, drawn in enumerate(pictures) if number != 2}
    assert run(engine, {"next": prepared["0"]})["next"].answer.text == pictures[0].caption
    engine.close()


def test_sequences_of_a_broken_batch_do_not_starve_while_others_come(vision: LoadedModel) -> None:
    """Chats whose batch broke come to their end although there is always another chat that could join."""
    backend = Breaking(vision, {5})
    drawn = draw_many(1)[0]
    row = backend.prepare(ask("Describe this image."), [drawn.image])
    engine = Engine(backend, slots=8)
    waiting = {f"first-{number}" for number in range(5)}
    for key in sorted(waiting):
        engine.admit(key, row, urgent=True)
    for step in range(1000):
        if step > 5 and step % 8 == 0:
            engine.admit(f"later-{step}", row, urgent=True)
        for finished in engine.step():
            assert finished.answer.text == drawn.caption
            waiting.discard(finished.key)
        if not waiting:
            break
    assert not waiting
    engine.close()


def test_a_sequence_that_cannot_be_embedded_fails_by_itself(backend: VisionBackend) -> None:
    """Pixels that do not fit the ids fail only their own sequence."""
    pictures = draw_many(2)
    good, bad = (backend.prepare(ask("Describe this image."), [drawn.image]) for drawn in pictures)
    broken = Prepared(
        bad.ids, bad.image_tokens, bad.sampling, {**bad.inputs, "pixel_values": bad.inputs["pixel_values"][:7]}
    )
    finished = run(Engine(backend), {"bad": broken, "good": good})
    assert isinstance(finished["bad"].error, EngineError)
    assert finished["good"].answer.text == pictures[0].caption


def test_a_text_only_model_refuses_an_image(text_backend: Backend) -> None:
    """mlx-lm would ignore the image and answer."""
    with pytest.raises(ImagesNotSupportedError, match="text-only"):
        text_backend.prepare(ask("Describe this image."), [draw_many(1)[0].image])


def test_the_text_model_answers_in_a_batch(text_backend: Backend) -> None:
    """The engine decodes a batch on mlx-lm."""
    questions = dict((*texts.TALK, *texts.NO_EYES))
    rows = {asked: text_backend.prepare(ask(asked, 0), []) for asked in questions}
    finished = run(Engine(text_backend, slots=5), rows)
    assert {asked: row.answer.text for asked, row in finished.items()} == questions


def test_what_was_owed_to_an_urgent_sequence_ends_with_it(backend: VisionBackend) -> None:
    """Bulk work does not wait for an urgent sequence that has ended."""
    pictures = draw_many(3)
    rows = [backend.prepare(ask("Describe this image."), [drawn.image]) for drawn in pictures]
    engine = Engine(backend, slots=4)
    engine.admit("urgent", rows[0], urgent=True)
    while engine.busy:
        engine.step()
    engine._scheduler._owed = 1000.0
    for number in (1, 2):
        engine.admit(str(number), rows[number])
    finished = [row for _ in range(200) for row in engine.step()]
    assert {row.key: row.answer.text for row in finished} == {"1": pictures[1].caption, "2": pictures[2].caption}


class Cramped(VisionBackend):
    """The real backend, whose tower has memory for the images of one sequence at a time."""

    def encode(self, rows: Iterable[Prepared]) -> ImageFeatures:
        rows = list(rows)
        if len(rows) > 1:
            raise MemoryError("[metal::malloc] Attempting to allocate 99 bytes")
        return super().encode(rows)


def test_sequences_whose_images_do_not_fit_together_go_in_by_themselves(
    vision: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sequence fails, and none gets features that were never computed."""
    monkeypatch.setattr("worker.engine.time_budget.PAUSE", 100.0)
    backend = Cramped(vision)
    pictures = draw_many(12)
    rows = {str(number): backend.prepare(ask("Describe this image."), [d.image]) for number, d in enumerate(pictures)}
    engine = Engine(backend, slots=8)
    finished = run(engine, {"first": rows.pop("0")}) | run(engine, rows)
    given = {key: row.answer.text for key, row in finished.items() if key != "first"}
    assert given == {str(number): drawn.caption for number, drawn in enumerate(pictures) if number}


def test_a_sequence_of_more_images_than_are_remembered_sees_them_all(
    vision: LoadedModel, backend: VisionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of features holds one image; each sequence has two."""
    monkeypatch.setattr("worker.models.vision.vision_tower.REMEMBERED_BYTES", 1)
    pictures = draw_many(6)
    pairs = {str(n): (ask("Describe both images.", 2), [pictures[n].image, pictures[n + 1].image]) for n in range(0, 5)}
    expected = {key: alone(vision, backend, *pair) for key, pair in pairs.items()}
    cramped = VisionBackend(vision)
    finished = run(Engine(cramped, slots=8), {key: cramped.prepare(*pair) for key, pair in pairs.items()})
    assert {key: list(row.token_ids) for key, row in finished.items()} == expected


def test_pictures_that_come_as_a_list_have_no_key() -> None:
    """Pixels without a digest must not be taken for equal."""
    assert image_keys({"pixel_values": [np.ones((2, 2)), np.ones((3, 2))]}) == ()
