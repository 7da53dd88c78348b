"""`captionq workers`: a heading and a line a worker, and `drain`."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner
from redis import Redis

from cli.main import captionq
from jobs.queue.worker_state import WorkerState, publish_state
from jobs.queue.workers.draining import is_draining
from tests.support.command_output import output

STATE = WorkerState(
    "captionq-studio-1a2b3c4d",
    at=time.time(),
    model="/models/private/gemma",
    models=["/models/private/gemma", "demo"],
    rates={"bulk": 2.0, "interactive": 0.5},
    host="studio.local",
    jobs=7,
    memory=4_200_000_000,
)


@pytest.fixture
def worker(connection: Redis) -> WorkerState:
    """A live worker."""
    connection.sadd("rq:workers", f"rq:worker:{STATE.name}")
    publish_state(connection, STATE, 3600)
    return STATE


def test_a_worker_is_a_line_in_a_pipe(run: CliRunner, worker: WorkerState) -> None:
    """Its model's folder is not told: another machine's paths are of no use here."""
    heading, line = output(run.invoke(captionq, ["workers"])).splitlines()
    assert heading.split("\t") == ["worker", "host", "model", "status", "jobs", "rate", "memory", "seen"]
    told = line.split("\t")
    assert told[:7] == ["studio-1a2b3c4d", "studio.local", "gemma", "busy", "7", "2.5/s", "4.2 GB"]
    assert told[7].endswith(" s ago")
    (found,) = [json.loads(one) for one in output(run.invoke(captionq, ["workers", "--format", "json"])).splitlines()]
    assert (found["name"], found["model"], found["models"]) == (worker.name, "gemma", ["gemma", "demo"])
    assert (found["status"], found["rate"], found["memory_bytes"]) == ("busy", 2.5, 4_200_000_000)


def test_the_status_says_what_bulk_work_waits_for(run: CliRunner, connection: Redis) -> None:
    """Also beside jobs that run; a program gets the reason and its end by themselves."""
    connection.sadd("rq:workers", f"rq:worker:{STATE.name}")
    wait = replace(
        STATE, bulk_wait="until 22:00 (CAPTIONQ_HOURS)", bulk_wait_codes=["outside_hours"], bulk_wait_until=7.0
    )
    for jobs, status in (
        (0, "waits until 22:00 (CAPTIONQ_HOURS)"),
        (7, "busy; bulk waits until 22:00 (CAPTIONQ_HOURS)"),
    ):
        publish_state(connection, replace(wait, jobs=jobs), 3600)
        assert output(run.invoke(captionq, ["workers"])).splitlines()[1].split("\t")[3] == status
    found = json.loads(output(run.invoke(captionq, ["workers", "--format", "json"])))
    assert (found["status"], found["bulk_wait"]) == ("busy", "until 22:00 (CAPTIONQ_HOURS)")
    assert (found["bulk_wait_codes"], found["bulk_wait_until"]) == (["outside_hours"], 7.0)


@pytest.mark.usefixtures("worker")
def test_a_worker_is_drained_by_the_beginning_of_its_name(run: CliRunner, connection: Redis) -> None:
    """And takes jobs again with --undo. An unknown name is an error."""
    assert output(run.invoke(captionq, ["workers", "drain", "studio"])) == (
        "studio-1a2b3c4d takes no more jobs, and ends with those that it has (7).\n"
    )
    assert is_draining(connection, STATE.name)
    assert "again" in output(run.invoke(captionq, ["workers", "drain", "studio", "--undo"]))
    assert not is_draining(connection, STATE.name)
    refused = run.invoke(captionq, ["workers", "drain", "mini"])
    assert (refused.exit_code, "captionq workers" in refused.output) == (1, True)


def test_without_a_worker_there_is_a_heading_and_the_way_to_start_one(run: CliRunner) -> None:
    """Also if no server of the queue runs."""
    ran = run.invoke(captionq, ["workers"])
    assert ran.stdout.split() == ["worker", "host", "model", "status", "jobs", "rate", "memory", "seen"]
    assert "captionq work" in ran.stderr
    assert run.invoke(captionq, ["workers", "drain", "mini"]).exit_code == 1
