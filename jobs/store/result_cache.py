"""The result cache: answers of ended jobs, given again to the same question about the same pixels. The rows are the cache."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Engine, Table, func, select, update
from sqlmodel import SQLModel

from jobs.store.connection import reading, writing
from jobs.store.store import Result
from jobs.store.tables import JobStatus

_job: Table = SQLModel.metadata.tables["job"]
_COLUMNS = (
    _job.c.text,
    _job.c.reasoning,
    _job.c.tool_calls,
    _job.c.finish_reason,
    _job.c.prompt_tokens,
    _job.c.image_tokens,
    _job.c.completion_tokens,
    _job.c.cache_key,
)


@dataclass(frozen=True)
class CacheStats:
    """Contents and use of the cache."""

    #: Different questions whose answers are kept.
    answers: int
    #: Jobs that were answered from the cache, and the tokens that were not generated for them.
    used: int
    tokens_saved: int


class ResultCache:
    """The cache of one database. Safe to use from several processes and threads at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, key: str) -> Result | None:
        """Return the newest flawless answer with this key. Its seconds are 0: nothing was computed."""
        query = (
            select(*_COLUMNS)
            .where(_job.c.cache_key == key, _job.c.status == JobStatus.SUCCEEDED, _job.c.quality.is_(None))
            .order_by(_job.c.finished_at.desc())
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        calls = json.loads(row["tool_calls"]) if row["tool_calls"] else None
        values = {**row, "tool_calls": calls}
        return Result(**values, preprocess_seconds=0.0, prefill_seconds=0.0, decode_seconds=0.0, cached=True)

    def stats(self) -> CacheStats:
        """Count the answers of the cache, and the jobs that it has answered."""
        kept = select(func.count(_job.c.cache_key.distinct())).where(_job.c.status == JobStatus.SUCCEEDED)
        used = select(func.count(), func.coalesce(func.sum(_job.c.completion_tokens), 0)).where(_job.c.cached)
        with reading(self._engine) as connection:
            count, tokens = connection.execute(used).one()
            return CacheStats(answers=connection.execute(kept).scalar_one(), used=count, tokens_saved=tokens)

    def clear(self) -> int:
        """Forget which questions the answers belong to. The answers stay with their jobs. Returns how many questions it were."""
        with writing(self._engine) as connection:
            count = connection.execute(select(func.count(_job.c.cache_key.distinct()))).scalar_one()
            connection.execute(update(_job).where(_job.c.cache_key.is_not(None)).values(cache_key=None))
            return count
