"""The states of runs, and their pages."""

from __future__ import annotations

import time

import pytest

from api.pages.run_state import RUNS_A_PAGE, RunStates
from jobs.images.stored.uploads import Uploads
from jobs.store.file_batches.batch_tables import FileBatch
from jobs.store.file_batches.file_batch_rows import FileBatches
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind


@pytest.mark.parametrize("count", [0, 1, RUNS_A_PAGE, RUNS_A_PAGE + 1, 2 * RUNS_A_PAGE + 7])
def test_each_run_is_on_one_page(store: Store, count: int) -> None:
    """Also runs of the same moment, and while new runs are made."""
    now = time.time()
    made = [Batch(description=str(number), model="demo", created_at=now + number // 3) for number in range(count)]
    for batch in made:
        store.add_batch(batch)
    states = RunStates(store)
    shown, place = [], None
    while True:
        page = states.newest(place)
        shown += [run.id for run in page.runs]
        store.add_batch(Batch(description="new", model="demo", created_at=now + count))
        if (place := page.older) is None:
            break
    assert shown == [batch.id for batch in sorted(made, key=lambda one: (one.created_at, one.id), reverse=True)]


def test_a_run_of_a_file_has_the_files_name_and_counts_its_lines(store: Store) -> None:
    """The name is a stranger's text; after the file was deleted, the run has the name that it was given."""
    uploads = Uploads(store.engine)
    file = uploads.add("birds\x1b[31m.jsonl", "0" * 64, 10, "batch")
    batch = Batch(description=file.id, kind=BatchKind.FILE, model="demo", complete=False)
    row = FileBatch(
        id=batch.id,
        endpoint="/v1/chat/completions",
        input_file_id=file.id,
        input_sha256="0" * 64,
        completion_window="24h",
        total=1000,
        expires_at=time.time() + 60,
    )
    FileBatches(store.engine).add(batch, row)
    state = RunStates(store).of(batch)
    assert "birds" in state.title
    assert "\x1b" not in state.title
    assert (state.done, state.total, state.is_open) == (0, 1000, True)
    uploads.delete(file.id)
    assert RunStates(store).title(batch) == file.id
