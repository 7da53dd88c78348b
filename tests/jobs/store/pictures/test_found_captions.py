"""Captions of all runs, found by their words, on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.store.pictures import found_captions as module
from jobs.store.pictures.found_captions import found_captions
from jobs.store.store import Store
from tests.support.postgres import both_databases
from tests.support.rows import RESULT, add_batch


@both_databases
def test_the_newest_captions_come_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several pages, from several runs; open and failed jobs have no caption."""
    monkeypatch.setattr(module, "_PAGE", 2)
    ended: list[str] = []
    jobs: list[str] = []
    for text in ("A red circle.", "A red star.", "A blue star.", "A red square."):
        batch, (job,) = add_batch(store, 1)
        store.claim([job.id], "worker")
        store.succeed(job.id, replace(RESULT, text=text))
        ended.append(batch.id)
        jobs.append(job.id)
    add_batch(store, 1)
    found = list(found_captions(store.engine, "red"))
    assert [one.text for one in found] == ["A red square.", "A red star.", "A red circle."]
    assert [one.batch_id for one in found] == [ended[3], ended[1], ended[0]]
    assert [one.text for one in found_captions(store.engine, '"red star"')] == ["A red star."]
    assert list(found_captions(store.engine, "...")) == []
    assert found[2].source.startswith("file:///pictures/")
    store.review(jobs[2], "A green star, as a person says.")
    assert [one.text for one in found_captions(store.engine, "person")] == ["A green star, as a person says."]
