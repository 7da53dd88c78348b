"""`captionq prune`: old rows, and the space that they leave."""

from __future__ import annotations

import importlib
import json
import sqlite3
from contextlib import closing
from unittest.mock import ANY

import pytest
from click.testing import CliRunner

from cli.main import captionq
from jobs.configuration.settings import Settings
from jobs.store.store import Store
from tests.support.command_output import output
from tests.support.rows import add_batch
from worker.lock import worker_lock

command = importlib.import_module("cli.commands.results.prune")


def test_prune_asks_how_old_unless_a_setting_says_it(
    run: CliRunner, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`captionq prune` is the same command. A program reads numbers, and a rewrite wants the data folder for itself."""
    _, jobs = add_batch(store, 2)
    store.cancel([job.id for job in jobs])
    assert "Say how old: captionq prune --older-than 30d" in run.invoke(captionq, ["prune"]).output
    monkeypatch.setenv("CAPTIONQ_KEEP_DAYS", "30")
    assert output(run.invoke(captionq, ["prune"])) == "Removed 0 jobs and 0 batches.\n"
    pruned = run.invoke(captionq, ["prune", "--older-than", "0h", "--vacuum", "--format", "json"])
    assert json.loads(output(pruned)) == {"jobs": 2, "batches": 1, "freed_bytes": ANY, "free_bytes": 0}
    monkeypatch.delenv("CAPTIONQ_KEEP_DAYS")
    assert output(run.invoke(captionq, ["prune", "--vacuum"])) == "Removed 0 jobs and 0 batches.\n"
    with worker_lock(settings):
        refused = run.invoke(captionq, ["prune", "--vacuum"])
    assert (refused.exit_code, "Stop it first" in refused.output) == (1, True)


def test_much_free_space_is_told(
    run: CliRunner, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of an older version keeps its size, and the sentence says how to get the space back."""
    store.close()
    with closing(sqlite3.connect(settings.data_dir / "captionq.db")) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
    monkeypatch.setattr(command, "_MUCH", 100_000)
    for told in ("captionq prune --vacuum", None):
        _, jobs = add_batch(store, 200)
        store.cancel([job.id for job in jobs])
        pruned = run.invoke(captionq, ["prune", "--older-than", "0h", *(["--vacuum"] if told is None else [])])
        assert pruned.stdout.startswith("Removed 200 jobs and 1 batch.")
        assert (told or "") in pruned.stderr
        assert ("of disk are free again" in pruned.stdout) == (told is None)
    assert pruned.stderr == ""
