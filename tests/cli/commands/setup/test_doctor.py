"""`captionq doctor`: a line for each check, and a reason for each fault."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis
from rq import Worker

from cli.main import captionq
from jobs.configuration.settings import Settings
from jobs.queue import broker_server
from jobs.queue.lanes import push, waiting
from jobs.store.store import Store
from jobs.store.tables import Lane
from tests.support.brokers import valkey
from tests.support.command_output import output
from tests.support.rows import add_batch
from worker.dispatch.queue_worker import QueueWorker


def test_the_doctor_finds_a_healthy_machine_healthy(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line says ok. A full disk is named, with status 1."""
    usage, free = shutil.disk_usage("/"), 1_000_000_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))
    lines = output(run.invoke(captionq, ["doctor"])).splitlines()
    assert len(lines) == 9
    assert all(line.startswith("ok  ") for line in lines)
    free = 1_000_000
    full = run.invoke(captionq, ["doctor"])
    assert full.exit_code == 1
    assert "free up at least 10 GB" in full.output


def test_the_doctor_counts_jobs_in_words(run: CliRunner, store: Store) -> None:
    """One job is one job."""
    add_batch(store, 1)
    assert re.search(r"database +1 job in /", run.invoke(captionq, ["doctor"]).output)


def test_the_doctor_finds_a_mistyped_setting(run: CliRunner) -> None:
    """The sentence stands in the list only, not also above it."""
    sick = run.invoke(captionq, ["doctor"], env={"CAPTIONQ_SLOT": "3"})
    assert sick.exit_code == 1
    assert sick.output.count("CAPTIONQ_SLOT ") == 1
    assert "!!  settings     CAPTIONQ_SLOT is not a setting; did you mean CAPTIONQ_SLOTS?" in sick.output


@pytest.mark.parametrize("folder", ["/dev/null/nowhere", "/proc/nowhere"])
def test_the_doctor_says_in_words_that_a_data_folder_cannot_be_made(run: CliRunner, folder: str) -> None:
    """The folder is named once, and its contents are not checked."""
    sick = run.invoke(captionq, ["doctor"], env={"CAPTIONQ_DATA_DIR": folder})
    assert sick.exit_code == 1
    assert f"!!  data folder  {folder} cannot be made or used" in sick.output
    assert sick.output.count(folder) == 1
    assert "Errno" not in sick.output


def test_the_doctor_finds_a_broker_that_does_not_start(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor starts a broker, and shows its last output."""
    monkeypatch.setattr(broker_server, "server_binary", lambda: Path("/dev/null/valkey-server"))
    sick = run.invoke(captionq, ["doctor"])
    assert sick.exit_code == 1
    assert re.search(r"^!!  broker .* ended at its start .*/dev/null/valkey-server", sick.output, re.MULTILINE)


def test_the_doctor_finds_a_worker_that_cannot_register(run: CliRunner, settings: Settings, connection: Redis) -> None:
    """The doctor registers with the broker as a worker does at its start."""
    connection.set("rq:workers", "no set")
    sick = run.invoke(captionq, ["doctor"])
    assert sick.exit_code == 1
    assert re.search(r"^!!  broker +No worker can start with the broker at /.*WRONGTYPE", sick.output, re.MULTILINE)


def test_the_doctor_leaves_a_running_broker_and_its_workers_alone(
    run: CliRunner, connection: Redis, store: Store
) -> None:
    """The doctor registers under a name of its own and takes no job."""
    push(connection, Lane.BULK, [job.id for job in add_batch(store, 2)[1]])
    worker = QueueWorker("worker", connection)
    worker.register_birth()  # type: ignore[no-untyped-call]  # rq's own signature
    assert "answers at" in output(run.invoke(captionq, ["doctor"]))
    assert [each.name for each in Worker.all(connection)] == ["worker"]
    assert waiting(connection, Lane.BULK) == 2


def test_the_doctor_is_colourful_on_a_terminal_only_and_not_with_no_color(run: CliRunner) -> None:
    """NO_COLOR switches colour off: https://no-color.org."""
    assert "\x1b[" in run.invoke(captionq, ["doctor"], color=True).output
    assert "\x1b[" not in run.invoke(captionq, ["doctor"], color=True, env={"NO_COLOR": "1"}).output
    assert "\x1b[" not in run.invoke(captionq, ["doctor"]).output


def test_the_doctor_names_the_fault_of_a_configured_broker_and_no_password(
    run: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wrong password, and a user that may not run the scripts that a worker needs."""
    with valkey(tmp_path) as server:
        categories = ["+@read", "+@write", "+@connection", "+@transaction", "+@pubsub", "-@dangerous"]
        server.connection.acl_setuser(
            "anna", enabled=True, passwords=["+hunt/er2"], keys=["*"], channels=["*"], categories=categories
        )
        for password, words in (
            ("hunt/er2", "percent-encoded"),
            ("wrong", "refuses the user"),
            ("hunt%2Fer2", "permit"),
        ):
            monkeypatch.setenv("CAPTIONQ_REDIS_URL", f"redis://anna:{password}@127.0.0.1:{server.port}/0")
            shown = run.invoke(captionq, ["doctor"]).output
            assert re.search(rf"^!!  broker .*{words}", shown, re.MULTILINE)
            assert "er2" not in shown + run.invoke(captionq, ["config", "show"]).output
