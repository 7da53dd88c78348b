"""What a life of `scenario.py` has to look like when all is done, and the receiver of its webhooks."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from redis import Redis
from sqlalchemy import Table, select, update
from sqlmodel import SQLModel

from jobs.configuration.settings import Settings
from jobs.store.connection import reading, writing
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from jobs.store.webhooks.webhook_rows import WebhookStore
from tests.faults.scenario import PICTURES, REQUESTS, Life
from tests.worker.dispatch.test_metal_worker import assert_nothing_is_left

_webhook: Table = SQLModel.metadata.tables["webhook"]


@contextmanager
def receiver() -> Iterator[tuple[str, list[str]]]:
    """Run a receiver of webhooks; yield its address and the ids of the messages that have arrived."""
    arrived: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            arrived.append(self.headers["webhook-id"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", arrived
        finally:
            server.shutdown()
            thread.join()


def check_database(settings: Settings) -> None:
    """Assert that the database is whole."""
    with closing(sqlite3.connect(settings.data_dir / "captionq.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def forget_waits(life: Life, connection: Redis) -> None:
    """Let some minutes pass: backoffs are over, claims of webhooks run out, and temporary files are old enough to be removed."""
    connection.flushall()
    for path in life.pictures.glob(".captionq-*.tmp"):
        os.utime(path, (0, 0))
    store = Store(life.settings)
    with writing(store.engine) as open_connection:
        waits = _webhook.c.next_attempt_at.is_not(None)
        open_connection.execute(update(_webhook).where(waits).values(next_attempt_at=0.0))
    store.close()


def is_done(settings: Settings) -> bool:
    store = Store(settings)
    counts = store.counts()
    store.close()
    return counts[JobStatus.SUCCEEDED] == REQUESTS + PICTURES


def assert_all_is_done(life: Life, connection: Redis, arrived: list[str]) -> None:
    """Assert that each acknowledged job has its own answer, once, and that nothing else is there."""
    check_database(life.settings)
    store = Store(life.settings)
    rows = {job.id: job for job in store.jobs()}
    acknowledged = life.acknowledged.read_text().split()
    assert len(set(acknowledged)) == REQUESTS
    assert set(acknowledged) <= rows.keys()
    others = {
        row.id: (row.status, row.worker, row.error_message)
        for row in rows.values()
        if row.status != JobStatus.SUCCEEDED
    }
    assert others == {}
    assert len(rows) == REQUESTS + PICTURES
    for row in rows.values():
        assert row.text == f"A stub has no answer to {row.parsed_request().digest}."
    texts = {row.output: f"{row.text}\n" for row in rows.values() if row.output}
    assert {path.as_uri(): path.read_text() for path in life.pictures.glob("*.txt")} == texts
    assert len(texts) == PICTURES
    assert sorted(path.name for path in life.pictures.iterdir() if path.suffix not in (".jpg", ".txt")) == []
    with reading(store.engine) as open_connection:
        hooks = set(open_connection.execute(select(_webhook.c.id)).scalars())
    assert WebhookStore(store.engine).due(2e10) == []
    # At least once: the sender may die before it can note an arrival.
    assert hooks <= set(arrived)
    assert len(hooks) == REQUESTS
    store.close()
    assert_nothing_is_left(connection)
