"""The number of sequences that fit into memory."""

from __future__ import annotations

import gc

import mlx.core as mx

from jobs.configuration.settings import Settings
from tests.worker.engine.test_engine import ask, run
from worker.engine.kv_memory import KVMemory
from worker.pipeline.resident_models import ResidentModels

#: Bytes that are free beside the active ones.
ROOM = 4_000_000


def test_sequences_fit_as_long_as_half_of_what_is_free_holds_them() -> None:
    """Sequences are padded to the longest; before the first measurement all fit."""
    memory = KVMemory(mx.get_active_memory() + ROOM)
    assert memory.holds(10_000, 10_000)
    memory.measured(bytes_=8 * 100 * 1000, sequences=8, columns=100)
    assert memory.holds(20, 100)
    assert memory.holds(2, 1000)
    assert not memory.holds(21, 100)
    assert not memory.holds(3, 1000)


def test_the_longest_sequences_tell_how_much_a_token_takes() -> None:
    """Caches of short sequences hold much that does not grow."""
    memory = KVMemory(mx.get_active_memory() + ROOM)
    memory.measured(bytes_=1_000_000, sequences=1, columns=10)
    assert not memory.holds(1, 100)
    memory.measured(bytes_=1_000_000, sequences=1, columns=1000)
    memory.measured(bytes_=1_000_000, sequences=1, columns=10)
    assert memory.holds(20, 100)
    assert not memory.holds(21, 100)


def test_what_was_loaded_since_is_seen_when_it_looks_again() -> None:
    """Dropped models are seen too."""
    # What other tests have left must not be freed in between.
    gc.collect()
    memory = KVMemory(mx.get_active_memory() + ROOM)
    memory.measured(bytes_=1000, sequences=1, columns=1)
    weights = mx.zeros((ROOM // 8,), mx.float32)
    mx.eval(weights)
    assert memory.holds(20, 100)
    memory.look()
    assert memory.holds(9, 100)
    assert not memory.holds(11, 100)
    del weights
    memory.look()
    assert memory.holds(19, 100)


def test_a_model_that_was_loaded_later_leaves_less_for_the_sequences_of_the_first(settings: Settings) -> None:
    """The memory budget holds both models."""
    residency = ResidentModels(settings.model_copy(update={"memory_budget": "1GB"}))
    first = residency.get("demo-text")
    run(first.engine, {"row": first.engine.backend.prepare(ask("Count to ten.", 0), [])})
    memory = residency.get("demo-text").engine._context.memory
    before = memory._free
    second = residency.get("demo")
    assert residency.get("demo-text") is first
    assert memory._free < before - 0.4 * second.bytes
    residency.close()
