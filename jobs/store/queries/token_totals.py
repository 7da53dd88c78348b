"""Numbers of tokens of a batch's answers, added up from the last end that was counted."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, Table, bindparam, func, select
from sqlmodel import SQLModel

from jobs.store.connection import reading

_job: Table = SQLModel.metadata.tables["job"]
_SUMS = select(
    func.max(_job.c.finished_order),
    *(func.coalesce(func.sum(_job.c[name]), 0) for name in ("prompt_tokens", "completion_tokens")),
).where(_job.c.batch_id == bindparam("batch_id"), _job.c.finished_order > bindparam("last_order"))


@dataclass(frozen=True)
class TokenTotals:
    """Tokens of the jobs that ended up to a `finished_order`."""

    last_order: int = 0
    prompt: int = 0
    completion: int = 0


def add_tokens(engine: Engine, batch_id: str, known: TokenTotals) -> TokenTotals:
    """Return the totals with the jobs that ended since `known`: only their rows are read."""
    with reading(engine) as connection:
        order, prompt, completion = connection.execute(
            _SUMS, {"batch_id": batch_id, "last_order": known.last_order}
        ).one()
    return TokenTotals(int(order or known.last_order), known.prompt + int(prompt), known.completion + int(completion))
