"""Messages to receivers of webhooks: their signature, and one delivery."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from pydantic import SecretStr

from jobs.configuration.settings import Settings
from jobs.errors import SettingsError, WebhookError, WebhookGoneError
from jobs.store.webhooks.webhook_table import Webhook
from jobs.webhooks import message
from jobs.webhooks.message import check_webhook_secret, deliver, sign
from tests.support.servers import reply, serving
from tests.support.webhooks import SECRET

BODY = b'{"test": 2432232314}'


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


def test_a_message_arrives_signed(webhook_settings: Settings) -> None:
    """The test checks the signature as a receiver does: over the bytes that arrived."""
    got: dict[str, Any] = {}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        got.update(body=body, headers=dict(handler.headers), path=handler.path)
        reply(204)(handler)

    with serving(answer) as url:
        webhook = Webhook(url=f"{url}/hook?token=1")
        deliver(webhook, BODY, webhook_settings)
    headers = got["headers"]
    assert (got["body"], got["path"], headers["Content-Type"]) == (BODY, "/hook?token=1", "application/json")
    assert headers["webhook-id"] == webhook.id
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    signed = f"{webhook.id}.{headers['webhook-timestamp']}.{got['body'].decode()}".encode()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_every_answer_but_a_good_one_is_a_failure(status: int, webhook_settings: Settings) -> None:
    """A redirect is not followed: it might lead anywhere, and a message is only for the receiver that was named."""
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        reply(status, {"Location": "/elsewhere"})(handler)

    with serving(answer) as url, pytest.raises(WebhookError, match=f"answered {status}") as caught:
        deliver(Webhook(url=f"{url}/hook?token=secret"), BODY, webhook_settings)
    assert asked == ["/hook?token=secret"]
    assert caught.value.transient
    assert "secret" not in caught.value.message


def test_status_410_is_final(webhook_settings: Settings) -> None:
    """The receiver wants no more messages."""
    with serving(reply(410)) as url, pytest.raises(WebhookGoneError) as caught:
        deliver(Webhook(url=url), BODY, webhook_settings)
    assert not caught.value.transient


@pytest.mark.parametrize(
    "url", ["https://localhost:9/", "https://10.0.0.1/", "http://169.254.169.254/", "file:///etc/passwd"]
)
def test_messages_go_to_no_forbidden_address(url: str, webhook_settings: Settings) -> None:
    """The rules are those for images."""
    with pytest.raises(WebhookError, match=r"contacted|begin with https"):
        deliver(Webhook(url=url), BODY, webhook_settings.model_copy(update={"allowed_networks": ()}))


def test_a_receiver_has_a_limited_time(webhook_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending a byte of a header now and then does not extend the time."""
    monkeypatch.setattr(message, "ANSWER_SECONDS", 0.4)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.05)

    with serving(answer) as url, pytest.raises(WebhookError, match="did not answer in time"):
        deliver(Webhook(url=url), BODY, webhook_settings)


def test_a_long_or_slow_answer_is_not_waited_for(webhook_settings: Settings) -> None:
    """The status shows that the message has arrived."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        reply(200)(handler)
        while True:
            handler.wfile.write(b"x")
            time.sleep(0.05)

    begun = time.monotonic()
    with serving(answer) as url:
        deliver(Webhook(url=url), BODY, webhook_settings)
    assert time.monotonic() - begun < message.ANSWER_SECONDS / 2


def test_without_a_secret_nothing_is_sent(settings: Settings) -> None:
    """A message that a receiver cannot check is worse than no message."""
    with pytest.raises(SettingsError, match="CAPTIONQ_WEBHOOK_SECRET"):
        deliver(Webhook(url="https://a.example/"), BODY, settings)
