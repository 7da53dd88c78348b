"""Webhooks: their signature, when they are due, and that no receiver holds up another."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from pydantic import SecretStr

from jobs.errors import SettingsError, WebhookError, WebhookGoneError
from jobs.settings import Settings
from jobs.store.connection import open_database, writing
from jobs.store.store import Store
from jobs.store.tables import Webhook
from jobs.store.webhook_rows import CLAIM_SECONDS, SCHEDULE, WebhookStore, add_webhooks
from jobs.webhooks import message
from jobs.webhooks.delivery import THREADS, Deliverer
from jobs.webhooks.message import check_webhook_secret, deliver, sign
from tests.support.postgres import both_databases
from tests.support.processes import PATIENCE
from tests.support.rows import RESULT, add_batch, make_job
from tests.support.servers import Answer, reply, serving

#: The example of Standard Webhooks' own tests.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
NETWORKS = ("127.0.0.0/8", "::1/128")


@pytest.fixture
def local(settings: Settings) -> Settings:
    """Settings that allow the receivers of these tests, with a secret."""
    return Settings.model_validate(
        {
            "data_dir": settings.data_dir,
            "database_url": settings.database_url,
            "model": "demo",
            "allowed_networks": NETWORKS,
            "webhook_secret": SECRET,
        }
    )


@pytest.fixture
def hooks(local: Settings, store: Store) -> Iterator[WebhookStore]:
    """The store of webhooks in the test's own database."""
    engine = open_database(local)
    yield WebhookStore(engine)
    engine.dispose()


@pytest.fixture
def deliverer(hooks: WebhookStore, local: Settings) -> Iterator[Deliverer]:
    """A deliverer that is closed at the end."""
    deliverer = Deliverer(hooks, local)
    yield deliverer
    deliverer.close()


def ended_job(store: Store) -> str:
    job = make_job()
    store.add([job])
    store.claim([job.id], "worker")
    store.succeed(job.id, RESULT)
    return job.id


def add_hook(store: Store, hooks: WebhookStore, url: str = "https://a.example/hook") -> Webhook:
    """Add a webhook for a job that has ended."""
    webhook = Webhook(url=url, job_id=ended_job(store))
    hooks.add([webhook])
    return webhook


def render(webhook: Webhook) -> bytes:
    return json.dumps({"job": webhook.job_id}).encode()


def wait_for(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "the condition did not become true in time"
        time.sleep(0.01)


def found(hooks: WebhookStore, webhook: Webhook) -> Webhook:
    row = hooks.find(webhook.id)
    assert row is not None
    return row


# -- the signature --------------------------------------------------------------------------------


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """Their published example, which the libraries of receivers are tested with."""
    signature = sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_short",
        "whsec_" + "!" * 40,
        "secret" * 8,
        "whsec_" + "A" * 28,
        "whsec_" + "A" * 88,
        SECRET[:-1],
    ],
)
def test_a_malformed_secret_is_named_and_not_shown(secret: str, settings: Settings) -> None:
    """The check at the start finds it, not the first message."""
    with pytest.raises(SettingsError, match="CAPTIONQ_WEBHOOK_SECRET") as caught:
        check_webhook_secret(settings.model_copy(update={"webhook_secret": SecretStr(secret)}))
    assert "!!!" not in caught.value.message
    assert "secretsecret" not in caught.value.message


def test_good_secrets_and_none_pass(settings: Settings) -> None:
    """Without a secret there are no webhooks."""
    check_webhook_secret(settings)
    for size in (24, 32, 64):
        secret = "whsec_" + base64.b64encode(bytes(size)).decode()
        check_webhook_secret(settings.model_copy(update={"webhook_secret": SecretStr(secret)}))


# -- one delivery ---------------------------------------------------------------------------------


def test_a_message_arrives_signed(local: Settings) -> None:
    """The test checks the signature as a receiver does: over the bytes that arrived."""
    got: dict[str, Any] = {}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        got.update(body=body, headers=dict(handler.headers), path=handler.path)
        reply(204)(handler)

    with serving(answer) as url:
        webhook = Webhook(url=f"{url}/hook?token=1")
        deliver(webhook, BODY, local)
    headers = got["headers"]
    assert (got["body"], got["path"], headers["Content-Type"]) == (BODY, "/hook?token=1", "application/json")
    assert headers["webhook-id"] == webhook.id
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    signed = f"{webhook.id}.{headers['webhook-timestamp']}.{got['body'].decode()}".encode()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_every_answer_but_a_good_one_is_a_failure(status: int, local: Settings) -> None:
    """A redirect is not followed: it might lead anywhere, and a message is only for the receiver that was named."""
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        reply(status, {"Location": "/elsewhere"})(handler)

    with serving(answer) as url, pytest.raises(WebhookError, match=f"answered {status}") as caught:
        deliver(Webhook(url=f"{url}/hook?token=secret"), BODY, local)
    assert asked == ["/hook?token=secret"]
    assert caught.value.transient
    assert "secret" not in caught.value.message


def test_status_410_is_final(local: Settings) -> None:
    """The receiver wants no more messages."""
    with serving(reply(410)) as url, pytest.raises(WebhookGoneError) as caught:
        deliver(Webhook(url=url), BODY, local)
    assert not caught.value.transient


@pytest.mark.parametrize(
    "url", ["https://localhost:9/", "https://10.0.0.1/", "http://169.254.169.254/", "file:///etc/passwd"]
)
def test_messages_go_to_no_forbidden_address(url: str, local: Settings) -> None:
    """The rules are those for images."""
    with pytest.raises(WebhookError, match=r"contacted|begin with https"):
        deliver(Webhook(url=url), BODY, local.model_copy(update={"allowed_networks": ()}))


def test_a_receiver_has_a_limited_time(local: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending a byte of a header now and then does not extend the time."""
    monkeypatch.setattr(message, "ANSWER_SECONDS", 0.4)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.05)

    with serving(answer) as url, pytest.raises(WebhookError, match="did not answer in time"):
        deliver(Webhook(url=url), BODY, local)


def test_a_long_or_slow_answer_is_not_waited_for(local: Settings) -> None:
    """The status shows that the message has arrived."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        reply(200)(handler)
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.05)

    begun = time.monotonic()
    with serving(answer) as url:
        deliver(Webhook(url=url), BODY, local)
    assert time.monotonic() - begun < message.ANSWER_SECONDS / 2


def test_without_a_secret_nothing_is_sent(settings: Settings) -> None:
    """A message that a receiver cannot check is worse than no message."""
    with pytest.raises(SettingsError, match="CAPTIONQ_WEBHOOK_SECRET"):
        deliver(Webhook(url="https://a.example/"), BODY, settings)


# -- due webhooks and claims ----------------------------------------------------------------------


@both_databases
def test_a_jobs_webhook_is_due_when_the_job_has_ended(store: Store, hooks: WebhookStore) -> None:
    """A success and a cancellation both count."""
    jobs = [make_job(str(number)) for number in range(3)]
    store.add(jobs)
    webhooks = [Webhook(url="https://a.example/", job_id=job.id) for job in jobs]
    hooks.add(webhooks)
    assert hooks.due(time.time()) == []
    store.claim([jobs[0].id], "worker")
    assert hooks.due(time.time()) == []
    store.succeed(jobs[0].id, RESULT)
    store.cancel([jobs[1].id])
    assert {webhook_id for webhook_id, _ in hooks.due(time.time())} == {webhooks[0].id, webhooks[1].id}


@both_databases
def test_a_batchs_webhook_is_due_when_its_last_job_has_ended(store: Store, hooks: WebhookStore) -> None:
    """It is not due before; other batches do not matter."""
    (batch, jobs), (_, others) = add_batch(store, 3), add_batch(store, 1)
    webhook = Webhook(url="https://a.example/hook", batch_id=batch.id)
    hooks.add([webhook])
    for job in jobs:
        assert hooks.due(time.time()) == []
        store.cancel([job.id])
    assert hooks.due(time.time()) == [(webhook.id, webhook.url)]
    assert store.job(others[0].id).status == "queued"


@both_databases
def test_webhooks_are_written_with_their_jobs_or_not_at_all(store: Store, hooks: WebhookStore, local: Settings) -> None:
    """Webhooks are inserted in the transaction that inserts their jobs."""
    job_id, engine = ended_job(store), open_database(local)
    webhook = Webhook(url="https://a.example/", job_id=job_id)
    with engine.connect() as connection, connection.begin() as transaction:
        add_webhooks(connection, [webhook])
        transaction.rollback()
    assert hooks.find(webhook.id) is None
    with writing(engine) as connection:
        add_webhooks(connection, [webhook])
        add_webhooks(connection, [])
    engine.dispose()
    assert found(hooks, webhook) == webhook


@both_databases
def test_a_claim_excludes_others_until_it_runs_out(store: Store, hooks: WebhookStore) -> None:
    """If the claiming process dies, another process makes the next attempt."""
    webhook, now = add_hook(store, hooks), time.time()
    claimed = hooks.claim(webhook.id, now)
    assert claimed is not None
    assert claimed.attempts == 1
    assert hooks.claim(webhook.id, now) is None
    assert hooks.due(now) == []
    later = hooks.claim(webhook.id, now + CLAIM_SECONDS)
    assert later is not None
    assert later.attempts == 2
    assert CLAIM_SECONDS > message.ANSWER_SECONDS * 2


@both_databases
def test_of_many_claims_at_once_one_wins(store: Store, hooks: WebhookStore, local: Settings) -> None:
    """The claims come from as many connections."""
    webhook, now = add_hook(store, hooks), time.time()
    engines = [open_database(local) for _ in range(6)]
    won: list[Webhook] = []
    start = threading.Barrier(len(engines))

    def claim(other: WebhookStore) -> None:
        start.wait()
        row = other.claim(webhook.id, now)
        if row is not None:
            won.append(row)

    threads = [threading.Thread(target=claim, args=(WebhookStore(engine),)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()
    assert len(won) == 1


@both_databases
def test_failures_follow_the_schedule_and_end(store: Store, hooks: WebhookStore) -> None:
    """Ten attempts in about three days, as Standard Webhooks proposes."""
    webhook, now, waits = add_hook(store, hooks), time.time(), []
    while True:
        claimed = hooks.claim(webhook.id, now)
        assert claimed is not None
        again = hooks.failed(claimed, WebhookError(f"failure {claimed.attempts}"), now)
        assert found(hooks, webhook).next_attempt_at == again
        if again is None:
            break
        waits.append(round(again - now))
        assert hooks.claim(webhook.id, again - 1) is None
        now = again
    assert waits == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400] == list(SCHEDULE)
    row = found(hooks, webhook)
    assert (row.attempts, row.last_error, row.delivered_at) == (10, "failure 10", None)
    assert hooks.due(now + 1e6) == []


@both_databases
def test_an_attempt_that_outlived_its_claim_changes_nothing(store: Store, hooks: WebhookStore) -> None:
    """Neither a later claim nor its delivery is changed."""
    webhook, now = add_hook(store, hooks), time.time()
    first = hooks.claim(webhook.id, now)
    second = hooks.claim(webhook.id, now + CLAIM_SECONDS)
    assert first is not None
    assert second is not None
    assert hooks.failed(first, WebhookError(), now) is None
    assert found(hooks, webhook).next_attempt_at == second.next_attempt_at
    hooks.delivered(second)
    assert hooks.failed(second, WebhookError(), now) is None
    row = found(hooks, webhook)
    assert (row.next_attempt_at, row.last_error) == (None, None)
    assert row.delivered_at is not None


# -- the loop -------------------------------------------------------------------------------------


@both_databases
def test_due_webhooks_are_delivered_once(
    store: Store, hooks: WebhookStore, local: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two deliverers try them over and over."""
    monkeypatch.setattr(message, "ANSWER_SECONDS", PATIENCE)
    got: list[bytes] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        got.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        reply(200)(handler)

    engine = open_database(local)
    loops = [Deliverer(hooks, local), Deliverer(WebhookStore(engine), local)]
    with serving(answer) as url:
        added = [add_hook(store, hooks, f"{url}/{number}") for number in range(12)]

        def all_delivered() -> bool:
            for loop in loops:
                loop.run_once(render)
            return all(found(hooks, webhook).delivered_at for webhook in added)

        wait_for(all_delivered)
        for loop in loops:
            loop.close()
    engine.dispose()
    assert sorted(got) == sorted(render(webhook) for webhook in added)
    assert {found(hooks, webhook).attempts for webhook in added} == {1}


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
            return found(hooks, other).delivered_at

        wait_for(other_delivered)
        assert not any(found(hooks, webhook).delivered_at for webhook in stuck)
        release.set()

        def all_delivered() -> bool:
            deliverer.run_once(render)
            return all(found(hooks, webhook).delivered_at for webhook in stuck)

        wait_for(all_delivered)


def test_a_receiver_that_is_gone_is_given_up_at_once(store: Store, hooks: WebhookStore, deliverer: Deliverer) -> None:
    """Status 410 ends the attempts."""
    with serving(reply(410)) as url:
        webhook = add_hook(store, hooks, url)
        deliverer.run_once(render)
        wait_for(lambda: found(hooks, webhook).next_attempt_at is None)
    row = found(hooks, webhook)
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
        wait_for(lambda: found(hooks, failing).last_error)
        wait_for(lambda: failing.id in caplog.text)
    row = found(hooks, failing)
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
            return found(hooks, good).delivered_at

        wait_for(good_delivered)


def test_a_database_that_cannot_be_read_does_not_end_the_loop(
    hooks: WebhookStore, local: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The database may be back the next second."""
    engine = open_database(local)
    with writing(engine) as connection:
        connection.exec_driver_sql("ALTER TABLE webhook RENAME TO away")
    engine.dispose()
    loop = Deliverer(hooks, local)
    loop.run_once(render)
    loop.close()
    loop.run_once(render)
    assert "could not be read" in caplog.text
