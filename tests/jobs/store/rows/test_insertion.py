"""Insertion of many rows at once."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from jobs.errors import ConflictError
from jobs.store.rows.insertion import LEAST_COPIED
from jobs.store.store import Store
from jobs.store.tables import Job, Lane
from tests.support.rows import make_job

SIZE = 2 * LEAST_COPIED


def test_rows_come_back_as_they_were_inserted(store: Store) -> None:
    """Few and many rows, with every kind of value, and with texts that look like COPY's own signs."""
    jobs = [make_job(f"{number}") for number in range(SIZE)]
    odd = jobs[7]
    odd.lane, odd.streamed, odd.error_message, odd.previous_text = (
        Lane.INTERACTIVE,
        True,
        "\\N\t\\.\n\\r 猫 \U0001f600",
        b"\0\\x\xff",
    )
    odd.deaths, odd.idempotency_key = 2, "\\."
    store.add(jobs[:3])
    store.add(jobs[3:])
    assert {job.id: job for job in store.jobs()} == {job.id: job for job in jobs}


@pytest.mark.parametrize("size", [2, SIZE])
def test_a_taken_key_stops_the_whole_insertion(store: Store, size: int) -> None:
    """The caller learns it as an IntegrityError from both ways to insert."""
    taken = make_job("taken")
    taken.idempotency_key = "key"
    store.add([taken])
    jobs = [make_job(f"new-{number}") for number in range(size)]
    jobs[-1].idempotency_key = "key"
    with pytest.raises(IntegrityError):
        store.add(jobs)
    assert [job.id for job in store.jobs()] == [taken.id]
    assert sum(store.counts().values()) == 1
    with pytest.raises(ConflictError):
        store.add([make_job("taken")])


def test_a_row_has_no_field_that_the_table_has_not() -> None:
    """A misspelt name is an error, and the defaults are those of the fields."""
    with pytest.raises(TypeError, match="statu"):
        Job(model="demo", request="{}", digest="", statu="queued")  # type: ignore[call-arg]
    job = Job(model="demo", request="{}", digest="")
    for name, field in Job.model_fields.items():
        if name not in ("id", "created_at", "model", "request", "digest"):
            assert getattr(job, name) == field.get_default(call_default_factory=True)


def test_a_misspelt_attribute_is_an_error_also_later() -> None:
    """Rows have no state of a session, which would notice."""
    job = Job(model="demo", request="{}", digest="")
    with pytest.raises(AttributeError, match="statu"):
        job.statu = "queued"
    assert "_sa_instance_state" not in Job(model="demo", request="{}", digest="").__dict__
