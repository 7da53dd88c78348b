"""Messages to receivers of webhooks, signed and sent as Standard Webhooks specifies (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time

from jobs.configuration.settings import Settings
from jobs.errors import AddressForbiddenError, InvalidRequestError, SettingsError, WebhookError, WebhookGoneError
from jobs.net.address_rules import check_url
from jobs.net.deadline import Deadline
from jobs.net.http_client import EXCHANGE_ERRORS, exchange, host_of, reason_of
from jobs.store.webhooks.webhook_table import Webhook

#: Seconds that a receiver has to answer. The standard proposes 15 to 30.
ANSWER_SECONDS = 15.0
_PREFIX = "whsec_"


def check_webhook_secret(settings: Settings) -> None:
    """Check the secret for signing webhooks, if there is one. Raises SettingsError, whose message does not hold the secret."""
    if settings.webhook_secret is not None:
        _key(settings.webhook_secret.get_secret_value())


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign a message: version 1, HMAC-SHA-256. `timestamp` is in seconds since the epoch. Raises SettingsError."""
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def deliver(webhook: Webhook, body: bytes, settings: Settings) -> None:
    """Post the body, which is JSON, once. No redirect is followed.

    Raises WebhookError, WebhookGoneError when the receiver wants no more messages, and SettingsError without a valid secret.
    """
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **_signature(webhook, body, settings)}
    try:
        url = check_url(webhook.url, settings)
        deadline = Deadline(ANSWER_SECONDS)
        with exchange("POST", url, settings, deadline, headers=headers, content=body) as response:
            # The body of the answer is not read: if it were slow, a message that has arrived would be sent again.
            _check_status(response.status, host_of(url))
    except (AddressForbiddenError, InvalidRequestError) as error:
        # The error is transient all the same: names may resolve to other addresses later, and settings may be corrected.
        raise WebhookError(error.message) from None
    except EXCHANGE_ERRORS as error:
        raise WebhookError(f"{host_of(url)} {reason_of(error)}.") from error


def _signature(webhook: Webhook, body: bytes, settings: Settings) -> dict[str, str]:
    if settings.webhook_secret is None:
        raise SettingsError("Webhooks cannot be signed. Set CAPTIONQ_WEBHOOK_SECRET to whsec_ followed by base64.")
    timestamp = int(time.time())
    return {
        "webhook-id": webhook.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(settings.webhook_secret.get_secret_value(), webhook.id, timestamp, body),
    }


def _check_status(status: int, host: str) -> None:
    if status == 410:
        raise WebhookGoneError(f"{host} answered 410: the receiver wants no more messages.")
    if not 200 <= status < 300:
        raise WebhookError(f"{host} answered {status}.")


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else b""
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise SettingsError(
            "CAPTIONQ_WEBHOOK_SECRET is not valid. It must be whsec_ followed by the base64 of 24 to 64 random bytes. "
            'Make one with: echo "whsec_$(openssl rand -base64 32)"'
        )
    return key
