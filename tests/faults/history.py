"""What clients were told while everything broke, and whether it is true in the end."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx2
from sqlalchemy import Table, select
from sqlmodel import SQLModel

from jobs.configuration.settings import Settings
from jobs.store.connection import reading
from jobs.store.store import Store
from jobs.store.tables import ENDED, OPEN, Job, JobStatus
from tests.faults.life_checks import check_database
from tests.support.serving import events_of

_TABLES = SQLModel.metadata.tables
_job: Table = _TABLES["job"]
_webhook: Table = _TABLES["webhook"]
#: A job that ran at three deaths of its worker: the faults hit it by chance, and it is given up as documented.
UNLUCKY = "poison"


@dataclass
class History:
    """Acknowledged requests by their ids, written by the threads of all clients."""

    #: The caption that each job has to get; None: the model's answers are not known beforehand.
    jobs: dict[str, str | None] = field(default_factory=dict)
    #: Of folders: captions by the names of their pictures. Of batches: captions by the ids of their lines.
    folders: dict[str, dict[str, str | None]] = field(default_factory=dict)
    batches: dict[str, dict[str, str | None]] = field(default_factory=dict)
    #: Events of followed jobs in the order of their arrival, over all connections.
    streams: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    #: Number of synchronous answers, and of refusals and broken connections by their kind.
    chats: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    #: Contradictions that a client has seen at once.
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Found:
    """The figures of a run."""

    faults: int
    acknowledged: int
    rows: int
    lost: int
    doubled: int
    given_up: int
    webhooks: int
    repeated_webhooks: int


def what_is_open(settings: Settings) -> list[str]:
    """Name the open jobs, the batches of lines that are at work, and the webhooks that are due some time."""
    batch = _TABLES["batch"]
    with closing(Store(settings)) as store, reading(store.engine) as connection:
        jobs = select(_job.c.id, _job.c.status, _job.c.lane, _job.c.worker, _job.c.created_at).where(
            _job.c.status.in_(OPEN)
        )
        batches = select(batch.c.id, batch.c.created_at).where(batch.c.complete.is_(False))
        hooks = select(_webhook.c.id, _webhook.c.next_attempt_at, _webhook.c.attempts, _webhook.c.last_error).where(
            _webhook.c.next_attempt_at.is_not(None)
        )
        return [str(row) for query in (jobs, batches, hooks) for row in connection.execute(query)]


def has_come_to_rest(settings: Settings) -> bool:
    """Tell whether no job is open, no batch of lines is at work, and no webhook is due."""
    return not what_is_open(settings)


def check_history(history: History, settings: Settings, client: httpx2.Client, arrived: list[str]) -> Found:
    """Assert that every acknowledged request has ended, once, with its own answer. Returns the figures."""
    assert history.wrong == []
    if settings.database_url is None:
        check_database(settings)
    with closing(Store(settings)) as store:
        rows = {job.id: job for job in store.jobs()}
        with reading(store.engine) as connection:
            hooks = set(connection.execute(select(_webhook.c.id)).scalars())
            kept = connection.execute(select(_TABLES["job_count"])).mappings().all()
    acknowledged = {*history.jobs, *history.folders, *history.batches}
    assert acknowledged <= rows.keys() | {row.batch_id for row in rows.values()}, "an acknowledged request is gone"
    assert {job_id: row.status for job_id, row in rows.items() if row.status not in ENDED} == {}
    failed = {job_id: row.error_message for job_id, row in rows.items() if row.status == JobStatus.FAILED}
    assert {job_id: error for job_id, error in failed.items() if rows[job_id].error_code != UNLUCKY} == {}
    for job_id, caption in history.jobs.items():
        assert rows[job_id].status != JobStatus.CANCELLED, job_id
        _assert_answer(rows[job_id], caption)
    for name, count in Counter((row.batch_id or "", row.status, row.lane) for row in rows.values()).items():
        assert [one["number"] for one in kept if (one["batch_id"], one["status"], one["lane"]) == name] == [count]
    doubled = sum(_check_folder(client, folder, wanted) for folder, wanted in history.folders.items())
    doubled += sum(_check_batch(client, batch, wanted, rows) for batch, wanted in history.batches.items())
    for job_id, events in history.streams.items():
        _check_stream(client, job_id, events, rows[job_id])
    assert hooks <= set(arrived), "a webhook has not arrived"
    faults, given_up = sum(history.faults.values()), len(failed)
    times = Counter(arrived)
    return Found(faults, len(acknowledged), len(rows), 0, doubled, given_up, len(hooks), len(arrived) - len(times))


def _assert_answer(row: Job, caption: str | None) -> None:
    if row.status == JobStatus.SUCCEEDED:
        expected = f"A stub has no answer to {row.parsed_request().digest}." if caption is None else caption
        assert row.text == expected, row.id


def _check_folder(client: httpx2.Client, folder: str, wanted: dict[str, str | None]) -> int:
    """Compare the results of a folder. Returns how many pictures have more than one."""
    lines = [json.loads(line) for line in client.get(f"/v1/folders/{folder}/results").text.splitlines()]
    assert {line["source"] for line in lines} == set(wanted), folder
    for line in lines:
        expected = wanted[line["source"]]
        assert line["text"] is None or expected in (None, line["text"]), line
    return len(lines) - len(wanted)


def _check_batch(client: httpx2.Client, batch: str, wanted: dict[str, str | None], rows: dict[str, Job]) -> int:
    """Compare the answers and the usage of a batch. Returns how many lines have more than one answer."""
    found = client.get(f"/v1/batches/{batch}").json()
    assert found["status"] == "completed", found
    files = [found[name] for name in ("output_file_id", "error_file_id") if found.get(name)]
    lines = [json.loads(line) for name in files for line in client.get(f"/v1/files/{name}/content").text.splitlines()]
    assert {line["custom_id"] for line in lines} == set(wanted), batch
    tokens = 0
    for line in lines:
        body = line["response"]["body"] if line["response"] else {}
        if "choices" in body:
            text, expected = body["choices"][0]["message"]["content"], wanted[line["custom_id"]]
            assert expected in (None, text), line
            tokens += body["usage"]["completion_tokens"]
    of_rows = sum(row.completion_tokens or 0 for row in rows.values() if row.batch_id == batch)
    assert found["usage"]["output_tokens"] == tokens == of_rows, "usage is not counted once"
    return len(lines) - len(wanted)


def _check_stream(client: httpx2.Client, job_id: str, events: list[dict[str, Any]], row: Job) -> None:
    """Follow the job to its end, and assert that no event of any connection came twice and no text is missing."""
    if not events or events[-1]["event"] != "result":
        after = {"Last-Event-ID": events[-1]["id"]} if events else {}
        with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=after) as response:
            events += events_of(response.iter_lines())
    assert events[-1]["event"] == "result", job_id
    place = 0
    for event in events:
        # Text that the broker loses comes with the result: there may be gaps, but each piece is in its place, once.
        if (
            event["event"] == "tokens"
            and event["data"]["attempt"] == row.attempts
            and row.status == JobStatus.SUCCEEDED
        ):
            at, text = event["data"]["at"], event["data"]["text"]
            assert at >= place, f"{job_id}: {text!r} came twice"
            assert (row.text or "")[at : at + len(text)] == text, job_id
            place = at + len(text)
