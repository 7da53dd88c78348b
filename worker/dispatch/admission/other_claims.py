"""Jobs that could not be claimed here because another worker runs them."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.store.databases.passing_faults import passes
from jobs.store.store import Store
from jobs.store.tables import JobStatus


def run_elsewhere(store: Store, ids: Sequence[str]) -> set[str]:
    """Return the jobs, out of these, that other workers run; all if the database cannot say: no entry is deleted then."""
    if not ids:
        return set()
    try:
        statuses = store.statuses(ids)
    except Exception as error:
        if not passes(error):
            raise
        return set(ids)
    return {job_id for job_id, status in statuses.items() if status == JobStatus.RUNNING}
