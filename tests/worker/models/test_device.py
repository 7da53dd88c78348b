"""The type of the weights on each device."""

from __future__ import annotations

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from tests.support.scenes import draw_many
from tests.worker.engine.test_engine import ask, run
from worker.engine.engine import Engine
from worker.models import device
from worker.models.backends import VisionBackend
from worker.models.loader import load


def types_of(name: str) -> set[mx.Dtype]:
    """Return the types of a loaded model's weights."""
    return {array.dtype for _, array in tree_flatten(load(name).model.parameters())}


@pytest.mark.skipif(mx.metal.is_available(), reason="there is a GPU")
def test_without_a_gpu_half_precision_becomes_float32() -> None:
    """The built-in models are stored in float16, and give the right answers in float32."""
    assert types_of("demo") == types_of("demo-text") == {mx.float32}
    backend = VisionBackend(load("demo"))
    pictures = draw_many(6)
    sequences = {
        str(n): backend.prepare(ask("Describe this image."), [drawn.image]) for n, drawn in enumerate(pictures)
    }
    finished = run(Engine(backend), sequences)
    assert [finished[str(n)].answer.text for n in range(6)] == [drawn.caption for drawn in pictures]


def test_weights_that_would_not_fit_keep_their_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Float32 would take more memory than the device has."""
    monkeypatch.setattr(device, "device_limit", lambda: 1_000_000)
    assert mx.float16 in types_of("demo")
