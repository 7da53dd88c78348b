"""Each fault point of the product is reached, and a death, a failure or a delay there loses nothing and doubles nothing."""

from __future__ import annotations

import ast
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import update
from sqlmodel import SQLModel

from jobs.configuration.settings import Settings
from jobs.faults import VARIABLE, Fault, FaultPoint, Plan
from jobs.store.connection import writing
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from jobs.store.webhooks.webhook_rows import WebhookStore
from tests.faults.scenario import FAILED, PICTURES, REQUESTS, Life, check_database
from tests.faults.seeds import LONG
from tests.worker.dispatch.test_metal_worker import assert_nothing_is_left

pytestmark = pytest.mark.timeout(3600 if LONG else 300)

ROOT = Path(__file__).parents[2]
KINDS = ("kill", "fail", "delay")
#: Turns after the fault within which everything has ended: a retry may have to wait for its backoff.
TURNS = 8
ALL = [(point, kind, at) for point in FaultPoint for kind in KINDS for at in (1, 2, 3)]
#: Every point, with one kind of fault each at one of its first passes.
CHOSEN = [
    (point, random.Random(f"{point}").choice(KINDS[:2]), random.Random(f"{point} at").choice((1, 2)))
    for point in FaultPoint
]


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


def test_each_point_is_passed_by_the_product() -> None:
    """A point that no code passes, or that code names without an entry here, is found."""
    passed = Counter(
        node.args[0].attr
        for floor in ("jobs", "worker", "api", "cli")
        for path in (ROOT / floor).rglob("*.py")
        if "point(FaultPoint." in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "point"
        if isinstance(node.args[0], ast.Attribute)
    )
    assert set(passed) == {point.name for point in FaultPoint}


def test_each_point_is_reached(settings: Settings, connection: Redis, tmp_path: Path) -> None:
    """Sometimes each of them is: else the tests below would break nothing."""
    with receiver() as (hook, _):
        life = Life(settings, tmp_path / "pictures", hook)
        assert life.turn({VARIABLE: Plan({}, notes=tmp_path).as_json()}) == 0
    assert {path.name.removeprefix("reached-") for path in tmp_path.glob("reached-*")} == set(FaultPoint)


def test_without_the_variable_nothing_happens(settings: Settings, connection: Redis, tmp_path: Path) -> None:
    """The points are in the product, and do nothing there."""
    with receiver() as (hook, arrived):
        life = Life(settings, tmp_path / "pictures", hook)
        assert life.turn() == 0
        assert_all_is_done(life, connection, arrived)


@pytest.mark.parametrize(("point", "kind", "at"), ALL if LONG else CHOSEN)
def test_a_fault_at_a_point_loses_and_doubles_nothing(
    settings: Settings, connection: Redis, tmp_path: Path, point: FaultPoint, kind: str, at: int
) -> None:
    """The clients send again, the command and the worker are started again, and all is as without the fault."""
    plan = Plan({point: Fault(kind, at)}, notes=tmp_path)
    with receiver() as (hook, arrived):
        life = Life(settings, tmp_path / "pictures", hook)
        status = life.turn({VARIABLE: plan.as_json()})
        if not (tmp_path / "faults").exists():
            pytest.skip(f"{point} is passed less than {at} times")
        assert (tmp_path / "faults").read_text() == f"{kind} {point}\n"
        assert status == -signal.SIGKILL if kind == "kill" else status in (0, FAILED)
        check_database(life.settings)
        for _ in range(TURNS):
            forget_waits(life.settings, connection)
            if life.turn() == 0 and is_done(life.settings):
                break
        assert_all_is_done(life, connection, arrived)


def forget_waits(settings: Settings, connection: Redis) -> None:
    """Let backoffs of jobs and webhooks be over, and claims of webhooks run out: nobody waits for a minute here."""
    connection.flushall()
    store = Store(settings)
    webhook = SQLModel.metadata.tables["webhook"]
    with writing(store.engine) as open_connection:
        waits = webhook.c.next_attempt_at.is_not(None)
        open_connection.execute(update(webhook).where(waits).values(next_attempt_at=0.0))
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
    assert {row.status for row in rows.values()} == {JobStatus.SUCCEEDED}
    assert len(rows) == REQUESTS + PICTURES
    for row in rows.values():
        assert row.text == f"A stub has no answer to {row.parsed_request().digest}."
    texts = {row.output: f"{row.text}\n" for row in rows.values() if row.output}
    assert {path.as_uri(): path.read_text() for path in life.pictures.glob("*.txt")} == texts
    assert len(texts) == PICTURES
    assert sorted(path.name for path in life.pictures.iterdir() if path.suffix not in (".jpg", ".txt")) == []
    assert WebhookStore(store.engine).due(2e10) == []
    # Once, or twice if the sender died before it could note the arrival.
    assert len(set(arrived)) == REQUESTS
    assert len(arrived) <= REQUESTS + 1
    store.close()
    assert_nothing_is_left(connection)
