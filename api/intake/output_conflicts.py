"""Text files that an open job is going to write: only one open job writes a file."""

from __future__ import annotations

from collections.abc import Sequence

from api.runtime.resources import Resources
from jobs.creation.cancel import announce
from jobs.creation.run_locks import RunLocks
from jobs.queue import lanes
from jobs.store.written.output_writers import busy_error


def check_outputs_free(outputs: Sequence[str], resources: Resources, *, skipped: Sequence[str] = ()) -> None:
    """Make sure that no open job writes these files.

    Jobs that a dead run of the command line left open are cancelled.

    Args:
        skipped: files that exist already; jobs of dead runs that would write them are cancelled too.

    Raises:
        ConflictError: names the folder, list or run that writes the first such file.
    """
    store = resources.store
    dead = RunLocks(resources.settings).dead(store.open_batches())
    if busy := [writer for writer in store.writers(outputs).values() if writer.batch_id not in dead]:
        raise busy_error(busy)
    if dead:
        cancelled = store.cancel_abandoned([*outputs, *skipped], dead)
        with lanes.rows_first():
            announce(cancelled, store=store, connection=resources.connection)
