"""The delivery of due webhooks: each once, and no receiver holds up another."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from jobs.configuration.settings import Settings
from jobs.store.connection import open_database, writing
from jobs.store.store import Store
from jobs.store.webhooks.webhook_retries import SCHEDULE
from jobs.store.webhooks.webhook_rows import WebhookStore
from jobs.store.webhooks.webhook_table import Webhook
from jobs.webhooks import message
from jobs.webhooks.delivery import THREADS, Deliverer
from tests.support.postgres import both_databases
from tests.support.processes import PATIENCE
from tests.support.servers import Answer, reply, serving
from tests.support.webhooks import SECRET, add_hook, found


@pytest.fixture
def deliverer(hooks: WebhookStore, webhook_settings: Settings) -> Iterator[Deliverer]:
    """A deliverer that is closed at the end."""
    deliverer = Deliverer(hooks, webhook_settings)
    yield deliverer
    deliverer.close()


def render(webhook: Webhook) -> bytes:
    return json.dumps({"job": webhook.job_id}).encode()


def wait_for(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "the condition did not become true in time"
        time.sleep(0.01)


@both_databases
def test_due_webhooks_are_delivered_once(
    store: Store, hooks: WebhookStore, webhook_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two deliverers try them over and over."""
    monkeypatch.setattr(message, "ANSWER_SECONDS", PATIENCE)
    got: list[bytes] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        got.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        reply(200)(handler)

    engine = open_database(webhook_settings)
    loops = [Deliverer(hooks, webhook_settings), Deliverer(WebhookStore(engine), webhook_settings)]
    with serving(answer) as url:
        added = [add_hook(store, hooks, f"{url}/{number}") for number in range(12)]

        def all_delivered() -> bool:
            for loop in loops:
                loop.run_once(render)
            return all(found(store, webhook).delivered_at for webhook in added)

        wait_for(all_delivered)
        for loop in loops:
            loop.close()
    engine.dispose()
    assert sorted(got) == sorted(render(webhook) for webhook in added)
    assert {found(store, webhook).attempts for webhook in added} == {1}


def test_a_slow_receiver_does_not_hold_up_others(store: Store, hooks: WebhookStore, deliverer: Deliverer) -> None:
    """It does not even with more messages than there are threads."""
    release = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        release.wait(PATIENCE)
        reply(200)(handler)

    with serving(wait) as slow, serving(reply(200)) as fast:
        stuck = [add_hook(store, hooks, f"{slow}/{number}") for number in range(THREADS + 2)]
        for _ in range(THREADS):
            deliverer.run_once(render)
        other = add_hook(store, hooks, fast.replace("127.0.0.1", "localhost"))

        def other_delivered() -> float | None:
            deliverer.run_once(render)
            return found(store, other).delivered_at

        wait_for(other_delivered)
        assert not any(found(store, webhook).delivered_at for webhook in stuck)
        release.set()

        def all_delivered() -> bool:
            deliverer.run_once(render)
            return all(found(store, webhook).delivered_at for webhook in stuck)

        wait_for(all_delivered)


def test_a_receiver_that_is_gone_is_given_up_at_once(store: Store, hooks: WebhookStore, deliverer: Deliverer) -> None:
    """Status 410 ends the attempts."""
    with serving(reply(410)) as url:
        webhook = add_hook(store, hooks, url)
        deliverer.run_once(render)
        wait_for(lambda: found(store, webhook).next_attempt_at is None)
    row = found(store, webhook)
    assert (row.attempts, row.delivered_at) == (1, None)
    assert "410" in (row.last_error or "")


def fail_to_render(webhook: Webhook) -> bytes:
    raise ValueError(f"something about {webhook.url}")


@pytest.mark.parametrize(
    ("rendering", "answer"), [(render, reply(500)), (fail_to_render, reply(200))], ids=["receiver", "render"]
)
def test_failures_are_logged_without_secrets_and_survived(
    rendering: Callable[[Webhook], bytes],
    answer: Answer,
    store: Store,
    hooks: WebhookStore,
    deliverer: Deliverer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The next message is delivered after a failure. The log may be read by others, so it holds no secret."""
    begun = time.time()
    with serving(answer) as url, caplog.at_level(logging.DEBUG):
        failing = add_hook(store, hooks, f"{url}/hook?token=hush")
        deliverer.run_once(rendering)
        wait_for(lambda: found(store, failing).last_error)
        wait_for(lambda: failing.id in caplog.text)
    row = found(store, failing)
    assert row.next_attempt_at is not None
    assert begun < row.next_attempt_at <= time.time() + SCHEDULE[0]
    assert "127.0.0.1" in caplog.text
    for text in (caplog.text, row.last_error or ""):
        assert "hush" not in text
        assert SECRET.removeprefix("whsec_") not in text
    with serving(reply(200)) as url:
        good = add_hook(store, hooks, url)

        def good_delivered() -> float | None:
            deliverer.run_once(render)
            return found(store, good).delivered_at

        wait_for(good_delivered)


def test_a_database_that_cannot_be_read_does_not_end_the_loop(
    hooks: WebhookStore, webhook_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The database may be back the next second."""
    engine = open_database(webhook_settings)
    with writing(engine) as connection:
        connection.exec_driver_sql("ALTER TABLE webhook RENAME TO away")
    engine.dispose()
    loop = Deliverer(hooks, webhook_settings)
    loop.run_once(render)
    loop.close()
    loop.run_once(render)
    assert "could not be read" in caplog.text
