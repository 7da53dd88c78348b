"""Texts of running jobs: published only while a page is watched, and merged over the workers."""

from __future__ import annotations

from redis import Redis

from jobs.queue.live_texts import KEPT, MOST_CHARACTERS, WATCHED_FOR, is_watched, live_texts, publish_texts, watch


def test_texts_of_all_workers_are_found_and_vanish_by_themselves(fake_connection: Redis) -> None:
    """Every key ends soon after its writer, and a long text is cut."""
    assert not is_watched(fake_connection)
    watch(fake_connection)
    assert is_watched(fake_connection)
    publish_texts(fake_connection, "a", {"job_1": "A dog", "job_2": "x" * 10_000})
    publish_texts(fake_connection, "b", {"job_3": "Ein Hund"})
    found = live_texts(fake_connection, ["a", "b", "gone"])
    assert found == {"job_1": "A dog", "job_2": "x" * MOST_CHARACTERS, "job_3": "Ein Hund"}
    assert live_texts(fake_connection, []) == {}
    assert {fake_connection.ttl(key) for key in fake_connection.keys()} == {KEPT, WATCHED_FOR}  # noqa: SIM118
