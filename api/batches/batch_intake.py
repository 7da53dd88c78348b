"""From the body of `POST /v1/batches` to a batch that is to be validated."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable

from sqlalchemy.exc import IntegrityError

from api.batches.endpoints import ENDPOINTS
from api.intake.idempotency_key import scoped_key
from api.intake.jobs import webhook_for
from api.middleware.api_keys import Caller
from api.runtime.resources import Resources
from api.schemas.batch import BatchBody
from jobs.batches.completion_window import window_seconds
from jobs.creation.idempotency import find_repeated
from jobs.errors import InvalidRequestError
from jobs.store.file_batches.batch_tables import FileBatch
from jobs.store.tables import Batch, BatchKind


def make_file_batch(body: BatchBody, resources: Resources, caller: Caller, idempotency_key: str | None) -> FileBatch:
    """Store a batch of the lines of a file, or find the one that was made with the same key.

    Raises NotFoundError, InvalidRequestError, IdempotencyError.
    """
    batch = Batch(
        description=body.input_file_id,
        kind=BatchKind.FILE,
        model="",
        complete=False,
        idempotency_key=scoped_key(idempotency_key, caller, BatchKind.FILE),
        digest=hashlib.sha256(body.model_dump_json().encode()).hexdigest(),
    )
    return add_once(batch, lambda: _file_batch(body, batch, resources), resources)


def add_once(batch: Batch, make: Callable[[], FileBatch], resources: Resources, dialect: str = "openai") -> FileBatch:
    """Store a batch, whose file batch `make` returns, or find the one that was made with the same key.

    Raises IdempotencyError when the key was used for another request.
    """
    if (earlier := find_repeated(resources.store, batch)) is not None:
        return resources.batches.get(earlier.id, dialect=dialect)
    file_batch = make()
    try:
        resources.batches.add(batch, file_batch)
    except IntegrityError:
        # Of two requests with the same key at the same moment, one wins.
        if (earlier := find_repeated(resources.store, batch)) is None:
            raise
        return resources.batches.get(earlier.id, dialect=dialect)
    return file_batch


def _file_batch(body: BatchBody, batch: Batch, resources: Resources) -> FileBatch:
    if body.endpoint not in ENDPOINTS:
        raise InvalidRequestError(f"endpoint must be {' or '.join(ENDPOINTS)}.")
    file = resources.uploads.get(body.input_file_id)
    if file.purpose != "batch" or file.sha256 is None:
        raise InvalidRequestError(
            f"{file.id} has the purpose '{file.purpose}'. Upload the requests with the purpose 'batch'."
        )
    webhook_for(body.webhook, resources)
    now = time.time()
    kept = body.output_expires_after
    return FileBatch(
        id=batch.id,
        endpoint=body.endpoint,
        input_file_id=file.id,
        input_sha256=file.sha256,
        completion_window=body.completion_window,
        labels=None if body.metadata is None else json.dumps(body.metadata),
        webhook=body.webhook,
        results_kept=None if kept is None else kept.seconds,
        created_at=now,
        expires_at=now + window_seconds(body.completion_window),
    )
