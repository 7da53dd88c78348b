"""Prefill groups: which sequences share one, and how much work the device gets between two decode steps."""

from __future__ import annotations

import io
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import pytest
from PIL import Image

from tests.support.scenes import draw_many
from tests.worker.engine.test_engine import ask, run
from worker.engine import decode_batch
from worker.engine.engine import Engine
from worker.engine.kv_memory import KVMemory
from worker.engine.prefill import prefill_group
from worker.engine.prefill.prefill_group import PrefillContext, PrefillGroup
from worker.engine.quarantine import Quarantine
from worker.engine.sequences import LiveSequence
from worker.engine.time_budget import PAUSE
from worker.engine.waiting_queue import LONGEST_WAIT, WaitingQueue
from worker.models.backends import VisionBackend
from worker.models.inputs import Prepared
from worker.models.loader import load
from worker.models.vision.feature_memory import FeatureMemory, ImageFeatures


@pytest.fixture(scope="module")
def backend() -> VisionBackend:
    """The backend of the built-in vision model."""
    return VisionBackend(load("demo"))


def prepared(
    backend: VisionBackend, *pictures: Image.Image, prompt: str = "Describe this image.", **more: Any
) -> Prepared:
    """Prepare a question about these pictures."""
    return backend.prepare(ask(prompt, len(pictures), **more), list(pictures))


class Counting:
    """A backend that counts the images that its tower looks at."""

    def __init__(self, backend: VisionBackend) -> None:
        self._backend = backend
        self.encoded = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def encode(self, rows: Iterable[Prepared]) -> ImageFeatures:
        """Encode as the backend does, and count."""
        seen = self._backend.encode(rows)
        self.encoded += len(seen)
        return seen


def test_a_group_is_the_longest_waiting_sequence_and_those_of_its_length(backend: VisionBackend) -> None:
    """Shorter prompts are padded to the longest, so similar lengths share a group, and no sequence waits for ever."""
    room = WaitingQueue(3, KVMemory(), Quarantine())
    lengths = {"old": 40, "short": 10, "like": 41, "long": 60, "near": 38}
    base = prepared(backend, prompt="Hello")
    for key, length in lengths.items():
        ids = (base.ids * length)[:length]
        room.add(LiveSequence(key, Prepared(ids, 0, base.sampling)))
    assert {row.key for row in room.take_group(32, [], coming=False)} == {"old", "like", "near"}
    assert "short" in {row.key for row in room.take_group(32, [], coming=False)}


def test_urgent_sequences_without_end_do_not_hold_up_a_group_for_ever(backend: VisionBackend) -> None:
    """A group that does not fill, or has not room for all, waits for some seconds and takes the room that there is."""
    room, base = WaitingQueue(3, KVMemory(), Quarantine()), prepared(backend, prompt="Hello")
    bulk = [LiveSequence(key, base) for key in ("one", "two")]
    running = [LiveSequence("urgent", base, urgent=True)]
    for sequence in bulk:
        room.add(sequence)
    assert room.take_group(32, running, coming=True) == []
    assert room.take_group(1, running, coming=False) == []
    bulk[0].admitted -= LONGEST_WAIT
    assert room.take_group(0, running, coming=True) == []
    assert room.take_group(1, running, coming=True) == bulk[:1]
    bulk[1].admitted -= LONGEST_WAIT
    assert room.take_group(32, running, coming=True) == bulk[1:]


def test_neighbours_that_ask_about_one_image_encode_it_once(
    backend: VisionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second question does not encode an image that the device is still encoding for the first."""
    monkeypatch.setattr(
        "worker.engine.prefill.prefill_chunk_size.MOST_PATCHES", 1
    )  # a pass of the tower for each sequence
    backend.forget()
    counting: Any = Counting(backend)
    picture, other = (drawn.image for drawn in draw_many(2))
    questions = ("Describe this image.", "Which shapes are there?", "List keywords for this image.")
    rows = [prepared(backend, one, prompt=question) for question in questions for one in (picture, other)]
    expected = {str(number): run(Engine(backend, slots=1), {"row": row})["row"] for number, row in enumerate(rows)}
    backend.forget()
    finished = run(Engine(counting, slots=8), {str(number): row for number, row in enumerate(rows)})
    assert {key: row.token_ids for key, row in finished.items()} == {
        key: row.token_ids for key, row in expected.items()
    }
    assert counting.encoded == 2


def test_the_speed_of_the_tower_is_learnt_though_ends_are_noticed_late(
    backend: VisionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU, mlx returns from handing over a pass when the pass is nearly computed: the next end would come at once."""
    now, ends = 0.0, dict[int, float]()

    def hand_over(work: Any) -> None:
        nonlocal now
        mx.eval(work)
        seconds = group._units[-1].amount / 1000
        ends[id(work)] = max(now, *ends.values(), 0.0) + seconds
        now = ends[id(work)] - seconds / 10

    def wait_for(work: Any) -> None:
        nonlocal now
        now = max(now, ends.get(id(work), now))

    backend.forget()
    context = PrefillContext(backend)
    rows = [LiveSequence(str(number), prepared(backend, drawn.image)) for number, drawn in enumerate(draw_many(3))]
    group = PrefillGroup(rows, context)
    monkeypatch.setattr(prefill_group, "time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(prefill_group, "mx", SimpleNamespace(async_eval=hand_over, eval=wait_for))
    while not group._embedded:
        group.step()
    assert len(ends) >= 3
    assert context.encoding.amount == pytest.approx(PAUSE * 1000, abs=1)


def test_sequences_whose_embedding_takes_long_are_embedded_one_a_step(
    backend: VisionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some families run their vision tower in the embedding: decoding must not wait for a whole group."""
    monkeypatch.setattr(prefill_group, "PAUSE", 0.0)
    rows = [LiveSequence(str(number), prepared(backend, drawn.image)) for number, drawn in enumerate(draw_many(3))]
    going_in = PrefillGroup(rows, PrefillContext(backend))
    while not going_in._embedded:
        assert not going_in.step()
    embedded = [len(going_in._embedded)]
    while not going_in.prefills:
        assert not going_in.step()
        embedded.append(len(going_in._embedded))
    assert embedded == [1, 2, 3]


def test_the_next_group_is_begun_before_the_ended_one_is_handed_over(backend: VisionBackend) -> None:
    """The device is at work while the worker records the outcomes."""
    engine = Engine(backend, slots=4, group=4)
    for number, drawn in enumerate(draw_many(8)):
        engine.admit(str(number), prepared(backend, drawn.image, max_tokens=4))
    ended: list[Any] = []
    while not ended:
        ended = engine.step()
    assert len(ended) == 4
    assert engine.working


def test_pending_work_does_not_grow_with_a_long_answer(backend: VisionBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The positions of the deeper layers are not needed while no sequence joins or leaves."""
    monkeypatch.setattr(decode_batch, "SETTLE_EVERY", 8)
    engine = Engine(backend, slots=2)
    row = prepared(backend, prompt="Hello", max_tokens=100, logit_bias=dict.fromkeys(backend.stops, -100.0))
    engine.admit("row", row)
    pending = []
    while engine.busy:
        engine.step()
        caches = engine._batch._caches
        if caches:
            drawn = io.StringIO()
            mx.export_to_dot(drawn, *(cache.offset for cache in caches))
            pending.append(drawn.getvalue().count('"Add"') + drawn.getvalue().count("[label"))
    assert len(pending) > 80
    assert max(pending[40:]) <= max(pending[:40])


def test_features_are_remembered_while_they_are_small_and_lately_used() -> None:
    """Features of an image that would push out all others' are not kept."""
    memory = FeatureMemory(limit=1000)
    for number in range(5):
        memory.add(bytes([number]), mx.zeros(50, mx.float32))
    memory.add(b"huge", [mx.zeros(30, mx.float32), (mx.zeros(40, mx.float32), None)])
    assert [bytes([number]) in memory for number in range(5)] == [True] * 5
    assert b"huge" not in memory
    memory.get(b"\x00")
    memory.add(b"new", mx.zeros(25, mx.float32))
    assert [key in memory for key in (b"\x00", b"\x01", b"\x02", b"new")] == [True, False, True, True]
