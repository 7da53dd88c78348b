"""Rows of webhooks: receivers and attempts. Several processes may deliver them at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, Float, Table, bindparam, case, exists, insert, or_, select, update
from sqlmodel import SQLModel

from jobs.chunks import chunked
from jobs.errors import CaptionqError
from jobs.store.connection import reading, writing
from jobs.store.statements import ROWS_A_STATEMENT
from jobs.store.tables import OPEN
from jobs.store.webhooks.webhook_retries import SCHEDULE
from jobs.store.webhooks.webhook_table import WEBHOOK, Webhook

#: Seconds that a claim holds: longer than an attempt, so that another process makes the same attempt only if this one dies.
CLAIM_SECONDS = 60
#: Maximum number of due rows read at once: large, so that the rows of one slow receiver do not hide the others.
DUE_LIMIT = 10_000

_webhook: Table = WEBHOOK
_job: Table = SQLModel.metadata.tables["job"]

_now = bindparam("now", type_=Float)
_waits = dict(enumerate((0, *SCHEDULE)))
_longest = case(_waits, value=_webhook.c.attempts, else_=max(SCHEDULE)) + CLAIM_SECONDS
# A time that is further away than the wait of its attempt was set before the clock was set back.
_is_due = or_(_webhook.c.next_attempt_at <= _now, _webhook.c.next_attempt_at > _now + _longest)
_of_job = select(_job.c.id).where(_job.c.id == _webhook.c.job_id, _job.c.status.in_(OPEN))
_of_batch = select(_job.c.id).where(_job.c.batch_id == _webhook.c.batch_id, _job.c.status.in_(OPEN))
_DUE = (
    select(_webhook.c.id, _webhook.c.url)
    .where(_is_due, ~or_(exists(_of_job), exists(_of_batch)))
    .order_by(_webhook.c.next_attempt_at, _webhook.c.id)
    .limit(DUE_LIMIT)
)
_CLAIM = (
    update(_webhook)
    .where(_webhook.c.id == bindparam("webhook_id"), _is_due)
    .values(next_attempt_at=_now + CLAIM_SECONDS, attempts=_webhook.c.attempts + 1)
    .returning(_webhook)
)


def add_webhooks(connection: Connection, webhooks: Sequence[Webhook]) -> None:
    """Insert webhooks, in the transaction that inserts the last of their jobs, or in a later transaction.

    A batch without open jobs counts as ended, so a webhook inserted before the jobs would be sent too early.
    """
    for chunk in chunked(webhooks, ROWS_A_STATEMENT):
        connection.execute(insert(_webhook), [webhook.model_dump() for webhook in chunk])


class WebhookStore:
    """Store of webhooks. Safe to use from several processes and threads at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, webhooks: Sequence[Webhook]) -> None:
        """Insert webhooks in a transaction of their own; see `add_webhooks`."""
        with writing(self._engine) as connection:
            add_webhooks(connection, webhooks)

    def addresses(self, job_id: str) -> list[str]:
        """Return the URLs of a job's webhooks, sorted; delivered ones too."""
        with reading(self._engine) as connection:
            return sorted(connection.execute(select(_webhook.c.url).where(_webhook.c.job_id == job_id)).scalars())

    def due(self, now: float) -> list[tuple[str, str]]:
        """Return (id, URL) of the webhooks whose job or whole batch has ended and whose time has come, the longest due first."""
        with reading(self._engine) as connection:
            return [(row.id, row.url) for row in connection.execute(_DUE, {"now": now})]

    def wait(self) -> bool:
        """Return whether a webhook is left that was not delivered, whether its job has ended or not."""
        with reading(self._engine) as connection:
            query = select(_webhook.c.id).where(_webhook.c.next_attempt_at.is_not(None)).limit(1)
            return connection.execute(query).first() is not None

    def claim(self, webhook_id: str, now: float) -> Webhook | None:
        """Claim a due webhook for CLAIM_SECONDS, and count the attempt. Returns None if another process has claimed it."""
        with writing(self._engine) as connection:
            row = connection.execute(_CLAIM, {"webhook_id": webhook_id, "now": now}).mappings().one_or_none()
        return None if row is None else Webhook(**row)

    def delivered(self, webhook: Webhook) -> None:
        """Mark a webhook as delivered."""
        done = update(_webhook).where(_webhook.c.id == webhook.id)
        with writing(self._engine) as connection:
            connection.execute(done.values(delivered_at=time.time(), next_attempt_at=None, last_error=None))

    def failed(self, webhook: Webhook, error: CaptionqError, now: float) -> float | None:
        """Store the error of a claimed webhook's attempt.

        Returns the time of the next attempt. None: the webhook is given up, or the claim has run out and another took its place.
        """
        wait = SCHEDULE[webhook.attempts - 1] if error.transient and webhook.attempts <= len(SCHEDULE) else None
        again = None if wait is None else now + wait
        # An attempt that outlived its claim must not change the later attempt.
        guard = (_webhook.c.id == webhook.id) & (_webhook.c.attempts == webhook.attempts)
        with writing(self._engine) as connection:
            changed = connection.execute(
                update(_webhook)
                .where(guard, _webhook.c.delivered_at.is_(None))
                .values(next_attempt_at=again, last_error=error.message)
            ).rowcount
        return again if changed else None
