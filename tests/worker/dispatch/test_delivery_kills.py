"""A worker that is killed at any write of a text file: the file is as before or as after, and nothing is added twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs.captions.text_files import fingerprint, text_bytes
from jobs.captions.wording.composition import composed, joined
from jobs.errors import OutputChangedError
from jobs.options.delivery import DeliveryOptions
from jobs.store.store import Store
from jobs.store.tables import Batch, Job
from tests.support.rows import make_job
from worker.dispatch.outcomes.output_delivery import deliver


class Killed(BaseException):
    """The end of a worker."""


#: The steps of a delivery that touch the disk: the row, the file's bytes, its name.
STEPS = ((Store, "keep_answer"), (os, "fsync"), (os, "link"), (os, "replace"))
#: Kills before and after each of them: an attempt takes three steps.
POINTS = 6


@contextmanager
def killed_at(point: int) -> Iterator[None]:
    """Kill the worker at a point: 0 before the first step, 1 after it, 2 before the second step …"""
    steps = 0

    def watched(real: Any) -> Any:
        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if point == 2 * steps - 2:
                raise Killed
            result = real(*arguments, **options)
            if point == 2 * steps - 1:
                raise Killed
            return result

        return step

    with pytest.MonkeyPatch.context() as patch:
        for place, name in STEPS:
            patch.setattr(place, name, watched(getattr(place, name)))
        with suppress(Killed):
            yield


def queued(store: Store, output: Path, delivery: DeliveryOptions, batch: Batch | None = None) -> Job:
    """Add a job about the file as it is now."""
    job = make_job(batch=batch)
    content = output.read_bytes() if output.exists() else None
    job.output, job.output_before, job.delivery = output.as_uri(), fingerprint(content), delivery.stored
    return job


#: Words as people write them: line ends, spaces and letters of other scripts.
WORDS = st.text(st.sampled_from("ab ,\n\r圖é"), max_size=12)


@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    previous=st.none() | WORDS,
    attempts=st.lists(st.tuples(st.sampled_from(["A cat.", "A dog.", "A cat"]), st.integers(0, POINTS)), max_size=4),
    existing=st.sampled_from(["append", "prepend", "replace"]),
    trigger=st.none() | st.just("ohwx"),
)
def test_a_kill_at_any_write_leaves_one_addition(
    store: Store,
    tmp_path: Path,
    previous: str | None,
    attempts: list[tuple[str, int]],
    existing: Any,
    trigger: str | None,
) -> None:
    """Several attempts die, each with its own answer; the last one completes the file."""
    output = tmp_path / "photo.txt"
    output.unlink(missing_ok=True)
    if previous is not None:
        output.write_bytes(previous.encode())
    delivery = DeliveryOptions(existing=existing, trigger=trigger)
    job = queued(store, output, delivery)
    store.add([job])

    def whole(answer: str) -> bytes:
        new = composed(answer, delivery)
        return text_bytes(new if existing == "replace" or previous is None else joined(new, previous, delivery))

    allowed = {None if previous is None else previous.encode()}
    for answer, point in attempts:
        # A kill counts as a death, and the third one would end the job.
        store.recover("worker", died=False)
        with killed_at(point):
            deliver(store.claim([job.id], "worker")[job.id], answer, store, "worker")
        allowed.add(whole(answer))
        assert (output.read_bytes() if output.exists() else None) in allowed
    store.recover("worker", died=False)
    assert deliver(store.claim([job.id], "worker")[job.id], "A bird.", store, "worker")
    assert output.read_bytes() == whole("A bird.")
    assert store.job(job.id).previous_text == (None if previous is None else previous.encode())
    store.cancel([job.id])


@pytest.mark.parametrize("point", range(POINTS))
@pytest.mark.parametrize("edited", [False, True])
def test_a_run_that_takes_the_job_over_knows_the_file(store: Store, tmp_path: Path, point: int, edited: bool) -> None:
    """A person's words that were written after the kill are kept too."""
    output = tmp_path / "photo.txt"
    output.write_text("by hand\n")
    dead, batch = Batch(description="dead", model="demo"), Batch(description="next", model="demo")
    delivery = DeliveryOptions(existing="append")
    job = queued(store, output, delivery, dead)
    store.add_batch(dead)
    store.add_batch(batch)
    store.add([job])
    with killed_at(point):
        deliver(store.claim([job.id], "worker")[job.id], "A cat.", store, "worker")
    if edited:
        output.write_text("by another hand\n")
    store.recover("worker")
    taken = store.take_up([queued(store, output, delivery, batch)], batch.id, {dead.id})
    assert taken.resumed == [job.id]
    assert deliver(store.claim([job.id], "worker")[job.id], "A cat.", store, "worker")
    assert output.read_text() == ("by another hand A cat.\n" if edited else "by hand A cat.\n")


def test_a_person_s_text_in_place_of_a_killed_attempt_s_stays(store: Store, tmp_path: Path) -> None:
    """The next attempt of the same job does not know the text."""
    output = tmp_path / "photo.txt"
    output.write_text("by hand\n")
    job = queued(store, output, DeliveryOptions(existing="prepend"))
    store.add([job])
    with killed_at(POINTS - 1):
        deliver(store.claim([job.id], "worker")[job.id], "A cat.", store, "worker")
    output.write_text("by hand, and more\n")
    store.recover("worker")
    with pytest.raises(OutputChangedError):
        deliver(store.claim([job.id], "worker")[job.id], "A cat.", store, "worker")
    assert output.read_text() == "by hand, and more\n"
