"""From a body to a queued job."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence

from api.intake.images import take_images
from api.middleware.api_keys import Caller
from api.runtime.resources import Resources
from api.schemas.chat_request import CompletionBody
from jobs.creation.backpressure import check_room
from jobs.creation.cancel import announce
from jobs.creation.create import JOBS_A_TRANSACTION, Created, Creation, create
from jobs.creation.idempotency import find_repeated_batch
from jobs.creation.large_batch import make_batch
from jobs.creation.question import copy_of
from jobs.creation.retry import expect_current_texts
from jobs.creation.run_locks import RunLocks
from jobs.errors import ForbiddenError
from jobs.images.folder_walk import is_below
from jobs.models.model_info import check_sees
from jobs.models.prompt_length import check_characters, prompt_limit
from jobs.queue import lanes
from jobs.requests import path_of
from jobs.store.output_writers import busy_error
from jobs.store.tables import Batch, Job, Lane

logger = logging.getLogger("captionq.api")


def make_job(
    body: CompletionBody, resources: Resources, *, lane: Lane, route: str, caller: Caller, idempotency_key: str | None
) -> Job:
    """The row, not yet in the store; keys are those of a route. Raises CaptionqError where the request cannot be served."""
    if idempotency_key is None:
        # Before its images are kept. What was asked before is found whether there is room or not.
        check_room(resources.connection, lane, 1, resources.settings)
    return job_for(body, resources, lane=lane, idempotency_key=scoped(idempotency_key, caller, f"{route} {lane}"))


def job_for(body: CompletionBody, resources: Resources, *, lane: Lane, idempotency_key: str | None = None) -> Job:
    """The same, whether there is room for it or not, and with a key that is scoped already."""
    info = resources.catalogue.resolve(body.model)
    limit = prompt_limit(info.context_length, resources.settings)
    check_characters((message.text for message in body.messages), limit)
    references = body.images()
    if references:
        check_sees(info)
    request = body.to_request(info.name, take_images(references, resources))
    job = Job(
        lane=lane,
        model=info.name,
        request=request.model_dump_json(),
        digest=request.digest,
        streamed=True,
        roots=roots_of(resources),
        idempotency_key=idempotency_key,
    )
    if resources.settings.log_prompts:
        words = [message.text for message in body.messages]
        logger.info("%s asks %s", job.id, words, extra={"fields": {"event": "asked", "job": job.id, "prompt": words}})
    return job


def ask_again(asked: Callable[[], Iterable[Sequence[Job]]], count: int, resources: Resources, batch: Batch) -> Created:
    """The batch of new jobs that ask what these asked; the earlier one, where it was asked with the same key.

    `asked` gives `count` jobs of one lane, in pages. Raises LaneFullError, ConflictError, and ForbiddenError for a job whose
    files are not served: it was made on the command line.
    """
    store, connection = resources.store, resources.connection
    if (earlier := find_repeated_batch(batch, store=store, connection=connection)) is not None:
        return Created(earlier, repeated=True)
    check_room(connection, Lane(next(iter(asked()))[0].lane), count, resources.settings)
    outputs: list[str] = []
    for page in asked():
        for job in page:
            _check_served(job, resources)
        outputs += [job.output for job in page if job.output is not None]
    check_free(outputs, resources)
    roots = roots_of(resources)
    chunks = (expect_current_texts([copy_of(job, batch, roots) for job in page], store) for page in asked())
    if count <= JOBS_A_TRANSACTION:
        # All at once: who sends the same key at the same moment is given it too.
        whole = Creation([job for chunk in chunks for job in chunk], batch)
        return create(whole, store=store, connection=connection, settings=resources.settings)
    return make_batch(batch, chunks, (), store=store, connection=connection)


def check_free(outputs: Sequence[str], resources: Resources, *, skipped: Sequence[str] = ()) -> None:
    """Make sure that no open job writes these files. Raises ConflictError, which names who queued the first one that does.

    Jobs that a dead run left open are cancelled, also those of `skipped`, the files that are there already.
    """
    store = resources.store
    dead = RunLocks(resources.settings).dead(store.open_batches())
    if busy := [writer for writer in store.writers(outputs).values() if writer.batch_id not in dead]:
        raise busy_error(busy)
    if dead:
        cancelled = store.cancel_abandoned([*outputs, *skipped], dead)
        with lanes.rows_first():
            announce(cancelled, store=store, connection=resources.connection)


def _check_served(job: Job, resources: Resources) -> None:
    roots = resources.settings.served_roots
    files = [path_of(file) for file in (job.source, job.output) if file is not None and file.startswith("file:")]
    if not all(is_below(file, roots) for file in files):
        raise ForbiddenError(
            f"The files of '{job.id}' are not below a folder that is served. Use `captionq jobs retry`."
        )


def roots_of(resources: Resources) -> str:
    """The folders that are served, as a job keeps them: the worker looks again when it opens a file."""
    return json.dumps([os.path.realpath(root) for root in resources.settings.served_roots])


def scoped(key: str | None, caller: Caller, kind: str) -> str | None:
    """An idempotency key among those of all callers and all kinds of things that are made with one."""
    return None if key is None else hashlib.sha256("\0".join((caller.name, kind, key)).encode()).hexdigest()
