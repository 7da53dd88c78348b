"""From the body of `POST /v1/messages/batches` to a batch in progress: its requests become a stored file of lines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from api.batches.batch_intake import add_once
from api.batches.endpoints import MESSAGES
from api.intake.idempotency_key import scoped_key
from api.middleware.api_keys import Caller
from api.runtime.resources import Resources
from api.schemas.dialects.anthropic_batches import MessageBatchBody
from jobs.batches.completion_window import window_seconds
from jobs.batches.feeding import open_file
from jobs.batches.lines import LineFlaw
from jobs.batches.validation import FileLimits, check_file
from jobs.errors import BodyTooLargeError, InvalidRequestError
from jobs.images.stored.blobs import put_blob
from jobs.store.file_batches.batch_tables import FileBatch, FileBatchStatus
from jobs.store.tables import Batch, BatchKind

DIALECT = "anthropic"
#: The deadline of every batch.
WINDOW = "24h"


def make_message_batch(
    body: MessageBatchBody, resources: Resources, caller: Caller, idempotency_key: str | None
) -> FileBatch:
    """Store a batch of the requests of a body, or find the one that was made with the same key.

    Raises InvalidRequestError, BodyTooLargeError, IdempotencyError.
    """
    settings = resources.settings
    total = len(body.requests)
    if total > settings.max_batch_lines:
        raise InvalidRequestError(
            f"requests: a batch has at most {settings.max_batch_lines} requests (CAPTIONQ_MAX_BATCH_LINES), not {total}. "
            "Send several batches."
        )
    # The body was counted when it arrived: only odd numbers and escapes make the lines much longer.
    sha256, _ = put_blob(_lines(body), settings, most=4 * settings.max_body_bytes, too_large=BodyTooLargeError)
    batch = Batch(
        description=f"{total} messages",
        kind=BatchKind.FILE,
        model="",
        complete=False,
        idempotency_key=scoped_key(idempotency_key, caller, "message_batch"),
        digest=sha256,
    )
    now = time.time()
    file_batch = FileBatch(
        id=batch.id,
        dialect=DIALECT,
        endpoint=MESSAGES,
        input_file_id="",
        input_sha256=sha256,
        completion_window=WINDOW,
        status=FileBatchStatus.IN_PROGRESS,
        total=total,
        created_at=now,
        in_progress_at=now,
        expires_at=now + window_seconds(WINDOW),
    )
    _check(file_batch, resources)
    return add_once(batch, lambda: file_batch, resources, DIALECT)


def _lines(body: MessageBatchBody) -> Iterator[bytes]:
    for request in body.requests:
        line = {"custom_id": request.custom_id, "method": "POST", "url": MESSAGES, "body": request.params}
        yield json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _check(batch: FileBatch, resources: Resources) -> None:
    """Check the lines by the code that reads them later. Models are checked in turn: a batch may have several."""
    settings = resources.settings
    limits = FileLimits(settings.max_batch_lines, settings.max_body_bytes)
    with open_file(batch, settings) as file:
        checked = check_file(file, batch.endpoint, limits, lambda _: "")
    if checked.flaws:
        raise _error_of(checked.flaws[0])


def _error_of(flaw: LineFlaw) -> InvalidRequestError:
    if flaw.code == "duplicate_custom_id":
        words = "an earlier request has this custom_id too. It must be unique in the batch."
    else:
        words = flaw.message
    place = (flaw.param or "").replace("body", "params", 1)
    return InvalidRequestError(f"{'.'.join(filter(None, ['requests', str((flaw.line or 1) - 1), place]))}: {words}")
