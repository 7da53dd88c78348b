"""The rule (ACL) of the documentation: enough for everything that captionq sends to the queue's server, and not much more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis.utils import str_if_bytes
from rq import Queue, RateLimit

from jobs.configuration.settings import Settings
from jobs.creation.cancel import cancel
from jobs.queue import broker
from jobs.queue.downloads.records import list_downloads
from jobs.queue.downloads.reports import report, take
from jobs.queue.downloads.wishes import cancel as cancel_download
from jobs.queue.downloads.wishes import wish
from jobs.queue.events import read
from jobs.queue.lanes import stop
from jobs.queue.live_texts import live_texts, watch
from jobs.queue.pausing import pause, resume
from jobs.queue.reconcile import reconcile
from jobs.queue.worker_state import live_workers
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, JobStatus, Lane
from tests.jobs.queue.downloads.test_wishes import register
from tests.support.brokers import Valkey, valkey
from tests.support.rows import make_job
from worker import service

DOCUMENTATION = Path(__file__).parents[3] / "docs/many_macs.md"
#: The words of the rule that say which commands are allowed.
COMMANDS = re.compile(r"\+(@?)([\w|]+)")


def rule() -> list[str]:
    """Return the words of the rule in the documentation."""
    found = re.search(r"ACL SETUSER captionq (.+)", DOCUMENTATION.read_text())
    assert found is not None
    return found[1].split()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A server with the user of the documentation, whose log and statistics are empty."""
    with valkey(tmp_path) as server:
        server.connection.execute_command("ACL", "SETUSER", "captionq", *rule())
        # Another program on the server limits the rate of its jobs. rq's workers tidy up all such limits, with scripts.
        other = Queue("other", connection=server.connection)
        other.enqueue(print, rate_limit=RateLimit("other", concurrency=1))
        server.connection.config_resetstat()
        yield server


def stub_job(name: str, batch: Batch) -> Job:
    """Return a job that the stub answers at once."""
    job = make_job(name, batch)
    job.output, job.model = None, "stub"
    job.request = job.parsed_request().model_copy(update={"model": "stub"}).model_dump_json()
    return job


def use(settings: Settings, store: Store) -> None:
    """Do everything that command line, API and worker do with the server."""
    batch = Batch(description="pictures", model="stub")
    store.add_batch(batch)
    jobs = [stub_job(str(number), batch) for number in range(6)]
    jobs[1].lane = Lane.INTERACTIVE
    store.add(jobs)
    running = broker.find_or_start(settings)
    connection = running.connection
    assert broker.fault_of(connection, settings) is None
    reconcile(store, connection)
    pause(batch.id, store=store, connection=connection)
    resume(batch.id, store=store, connection=connection)
    cancel([jobs[0].id], store=store, connection=connection)
    stop(connection, "worker", jobs[0].id)
    watch(connection)
    service.run(settings, burst=True)
    read(connection, jobs[1].id, wait=0.01)
    live_texts(connection, [state.name for state in live_workers(connection)])
    register(connection, "mac")
    report(connection, replace(wish(connection, "owner/model", "mac"), worker="mac"))
    assert take(connection, "mac") is not None
    assert cancel_download(connection, list_downloads(connection)[0].id)
    running.stop()
    assert [store.job(job.id).status for job in jobs[1:]] == [JobStatus.SUCCEEDED] * 5


def test_the_rule_is_enough_and_each_word_of_it_is_used(server: Valkey, settings: Settings, store: Store) -> None:
    """The server's log of refused commands stays empty, and every allowed command or category was needed."""
    [secret] = [word[1:] for word in rule() if word.startswith(">")]
    url = f"redis://captionq:{secret}@127.0.0.1:{server.port}/0"
    use(settings.model_copy(update={"redis_url": url, "model": "stub"}), store)
    assert server.connection.acl_log() == []
    used = {name.removeprefix("cmdstat_") for name in server.connection.info("commandstats")}
    for is_category, name in COMMANDS.findall(" ".join(rule())):
        allowed = {str_if_bytes(one) for one in server.connection.acl_cat(name)} if is_category else {name}
        assert allowed & used, name


@pytest.mark.parametrize("command", ["FLUSHALL", "CONFIG GET *", "SHUTDOWN", "KEYS *", "ACL LIST", "GET other:key"])
def test_the_rule_refuses_everything_else(server: Valkey, command: str) -> None:
    """A lost password opens the queue, and nothing else of the server."""
    assert server.connection.execute_command("ACL", "DRYRUN", "captionq", *command.split()) != b"OK"
