"""The vision tower and the features that it remembers."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.support.scenes import draw_many
from tests.worker.engine.test_engine import ask, run
from worker.engine.engine import Engine
from worker.models.backends import VisionBackend
from worker.models.inputs import Prepared
from worker.models.loader import load
from worker.models.vision.feature_memory import ImageFeatures
from worker.models.vision.vision_tower import VisionTower


def test_many_questions_about_one_image_encode_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One image is encoded once for a batch and for later batches; another image is encoded when it comes."""
    encoded: list[bytes] = []
    encode = VisionTower.encode

    def counted(vision: VisionTower, sequences: Iterable[Prepared]) -> ImageFeatures:
        seen = encode(vision, sequences)
        encoded.extend(seen)
        return seen

    monkeypatch.setattr(VisionTower, "encode", counted)
    backend = VisionBackend(load("demo"))
    first, second = draw_many(2)
    questions = ["Describe this image.", "What is this?", *(first.question(seed)[0] for seed in range(4))]
    for _ in range(2):
        engine = Engine(backend, slots=4)
        sequences = {question: backend.prepare(ask(question), [first.image]) for question in questions}
        answers = run(engine, sequences)
        assert answers["Describe this image."].answer.text == first.caption
    assert len(encoded) == 1
    run(Engine(backend), {"other": backend.prepare(ask("Describe this image."), [second.image])})
    assert len(encoded) == 2
