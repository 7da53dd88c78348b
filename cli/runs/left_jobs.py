"""The jobs that a killed run of the same command has left."""

from __future__ import annotations

from redis import Redis

from jobs.creation.abandoned_batches import cancel_dead_run
from jobs.creation.run_locks import RunLocks
from jobs.store.store import Store


def cancel_left_jobs(description: str, *, store: Store, runs: RunLocks, connection: Redis) -> None:
    """Cancel the open jobs of dead runs with this description. Answers that they had are in the result cache."""
    left = [one for one in store.open_batches() if one.description == description]
    for batch_id in runs.dead(left):
        cancel_dead_run(batch_id, store=store, connection=connection)
