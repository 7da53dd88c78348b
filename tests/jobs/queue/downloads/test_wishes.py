"""Wishes for downloads, who takes them, and what their records say."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from redis import Redis

from jobs.errors import (
    ConflictError,
    DownloadInterruptedError,
    InvalidRequestError,
    NotFoundError,
    TooManyDownloadsError,
    WorkerError,
)
from jobs.queue.downloads.records import ALIVE, RECORD, WISHES, DownloadStatus, find_download, list_downloads
from jobs.queue.downloads.reports import finish, finish_dead, report, take
from jobs.queue.downloads.wishes import MOST_OPEN, cancel, wish
from jobs.queue.worker_state import WorkerState, publish_state

MODEL = "owner/model"


def register(connection: Redis, *names: str, draining: bool = False) -> None:
    """Let workers live."""
    for name in names:
        connection.sadd("rq:workers", f"rq:worker:{name}")
        publish_state(connection, WorkerState(name, at=time.time(), draining=draining), 60)


def test_a_wish_is_taken_once_and_its_record_ends_by_itself(connection: Redis) -> None:
    """The worker that takes the wish is named. Everything has an expiry."""
    register(connection, "mini", "studio")
    asked = wish(connection, MODEL)
    assert (asked.status, asked.worker, asked.total) == (DownloadStatus.QUEUED, "", None)
    taken = take(connection, "studio")
    assert taken is not None
    assert (taken.id, taken.status, taken.worker) == (asked.id, DownloadStatus.RUNNING, "studio")
    assert take(connection, "mini") is None
    assert not report(connection, taken)
    finish(connection, taken)
    keys = [key for key in connection.keys("captionq:download*") if connection.ttl(key) < 0]
    assert keys == []


def test_two_wishes_share_a_download_that_is_open(connection: Redis) -> None:
    """A wish for any worker joins a download that a worker has; one for a worker only its own."""
    register(connection, "mini", "studio")
    alone = wish(connection, MODEL, "mini")
    apart = wish(connection, MODEL)
    assert apart.id != alone.id
    cancel(connection, apart.id)
    assert take(connection, "mini") is not None
    assert wish(connection, MODEL).id == alone.id
    finish(connection, replace(alone, status=DownloadStatus.SUCCEEDED))
    first = wish(connection, MODEL)
    assert wish(connection, MODEL).id == first.id
    named = wish(connection, MODEL, "mini")
    assert named.id != first.id
    other = wish(connection, "owner/other")
    assert other.id not in (first.id, named.id)
    # A worker's own wishes come first.
    taken = [take(connection, "mini") for _ in range(3)]
    assert [one and one.id for one in taken] == [named.id, first.id, other.id]
    assert wish(connection, MODEL, "mini").id in (first.id, named.id)
    assert wish(connection, MODEL, "studio").id not in (first.id, named.id)
    for one in taken:
        assert one is not None
        finish(connection, one)
    cancel(connection, wish(connection, MODEL, "studio").id)
    assert wish(connection, MODEL).id not in (first.id, named.id)
    assert [one.id for one in list_downloads(connection)][-5:] == [other.id, named.id, first.id, apart.id, alone.id]


def test_a_download_without_a_sign_of_life_is_interrupted(connection: Redis) -> None:
    """Its model can be asked for again. A process that comes back reports that it runs."""
    register(connection, "mini")
    asked = wish(connection, MODEL)
    taken = take(connection, "mini")
    assert taken is not None
    connection.delete(ALIVE + asked.id)
    dead = find_download(connection, asked.id)
    assert (dead.status, dead.error_code) == (DownloadStatus.FAILED, DownloadInterruptedError.code)
    assert wish(connection, MODEL).id != asked.id
    report(connection, taken)
    assert find_download(connection, asked.id).status is DownloadStatus.RUNNING
    assert finish_dead(connection, asked.id).status is DownloadStatus.FAILED
    assert not connection.exists(ALIVE + asked.id)


def test_a_download_is_cancelled_before_and_after_it_is_taken(connection: Redis) -> None:
    """Its process hears of the cancel with its next report. A new wish does not join what is about to end."""
    register(connection, "mini")
    waiting = wish(connection, MODEL)
    assert cancel(connection, waiting.id).status is DownloadStatus.CANCELLED
    assert take(connection, "mini") is None
    asked = wish(connection, MODEL)
    taken = take(connection, "mini")
    assert taken is not None
    assert not report(connection, taken)
    assert cancel(connection, asked.id).status is DownloadStatus.RUNNING
    assert wish(connection, MODEL).id != asked.id
    assert report(connection, taken)
    finish(connection, taken)
    connection.delete(RECORD + taken.id)
    with pytest.raises(NotFoundError, match="kept for a day"):
        cancel(connection, taken.id)


def test_too_many_open_downloads_are_refused(connection: Redis) -> None:
    """Ended ones make room."""
    register(connection, "mini")
    asked = [wish(connection, f"owner/model-{number}") for number in range(MOST_OPEN)]
    with pytest.raises(TooManyDownloadsError):
        wish(connection, MODEL)
    assert wish(connection, "owner/model-3").id == asked[3].id
    cancel(connection, asked[0].id)
    wish(connection, MODEL)


def test_a_wish_needs_a_worker_that_takes_work(connection: Redis) -> None:
    """The error says so at once, and nothing waits in the queue."""
    with pytest.raises(WorkerError, match="captionq work"):
        wish(connection, MODEL)
    register(connection, "mini-1", "mini-2", draining=True)
    with pytest.raises(WorkerError):
        wish(connection, MODEL)
    with pytest.raises(ConflictError, match="mini-1"):
        wish(connection, MODEL, "mini-1")
    with pytest.raises(InvalidRequestError, match="several"):
        wish(connection, MODEL, "mini")
    with pytest.raises(NotFoundError):
        wish(connection, MODEL, "studio")
    assert list_downloads(connection) == []
    assert not connection.exists(WISHES)
