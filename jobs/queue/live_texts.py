"""Texts of running jobs as they are being written, for a person who watches the page.

Workers publish them only while a page is watched: they cost the model's time. They may be lost; the row has the truth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from redis import Redis

_WATCHED = "captionq:watched"
_KEY = "captionq:texts:"
#: Seconds for which workers publish after a page was last seen, and for which their texts are kept.
WATCHED_FOR = 5
KEPT = 3
#: Characters of a text that are published.
MOST_CHARACTERS = 600


def watch(connection: Redis) -> None:
    """Ask the workers for texts; to be repeated before `WATCHED_FOR` seconds are over. Raises RedisError."""
    connection.set(_WATCHED, 1, ex=WATCHED_FOR)


def is_watched(connection: Redis) -> bool:
    """Return whether a page is watched. Raises RedisError."""
    return bool(connection.exists(_WATCHED))


def publish_texts(connection: Redis, worker: str, texts: Mapping[str, str]) -> None:
    """Publish the texts of a worker's running jobs, by the jobs' ids. Raises RedisError."""
    shown = {job_id: text[:MOST_CHARACTERS] for job_id, text in texts.items()}
    connection.set(_KEY + worker, json.dumps(shown), ex=KEPT)


def live_texts(connection: Redis, workers: Sequence[str]) -> dict[str, str]:
    """Return the texts of these workers' running jobs, by the jobs' ids. Raises RedisError."""
    found: dict[str, str] = {}
    for texts in connection.mget([_KEY + worker for worker in workers]) if workers else []:
        found |= json.loads(texts) if texts else {}
    return found
