"""Three workers on one Postgres under random faults of workers, API, broker, database and their connections.

`make chaos` runs it; the gate leaves it out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from jobs.configuration.settings import Settings
from jobs.queue.broker_server import server_binary
from tests.faults.chaos import kinds
from tests.faults.chaos.random_faults import Fault
from tests.faults.chaos.run import ENVIRONMENT, SECONDS, run_chaos
from tests.faults.chaos.supervised import Supervised
from tests.support.known_models import know_built_in_models
from tests.support.postgres import postgres_server
from tests.support.processes import Captionq, until

#: Seconds of a lease: a lost worker's jobs are taken over after it.
LEASE = 10

pytestmark = [pytest.mark.timeout(SECONDS + 600), pytest.mark.thorough]


def test_three_workers_end_everything_after_random_faults(tmp_path: Path) -> None:
    """The promises of one Mac hold for three: each job ends once, and no answer is another's."""
    blobs, broker_folder = tmp_path / "blobs", tmp_path / "broker"
    for folder in (blobs, broker_folder):
        folder.mkdir()
    with ExitStack() as at_end:
        # A server of its own: it is stopped in the middle.
        postgres = at_end.enter_context(postgres_server(safe=True))
        # A short path, as sockets need.
        socket = Path(at_end.enter_context(tempfile.TemporaryDirectory(prefix="captionq-"))) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(broker_folder)]
        options += ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
        broker = Supervised([str(server_binary()), *options], {}, tmp_path / "broker.log")
        at_end.callback(broker.stop)
        until(socket.exists, "the broker")
        url, redis_url = postgres.create_database("chaos"), f"unix://{quote(str(socket))}"
        environment = {
            **ENVIRONMENT,
            "CAPTIONQ_DATABASE_URL": url,
            "CAPTIONQ_REDIS_URL": redis_url,
            "CAPTIONQ_BLOB_URL": str(blobs),
            "CAPTIONQ_LEASE": str(LEASE),
        }

        def mac(name: str) -> Captionq:
            settings = Settings(
                data_dir=tmp_path / name, model="demo", database_url=url, redis_url=redis_url, blob_url=str(blobs)
            )
            settings.make_folders()
            know_built_in_models(settings)
            made = Captionq(settings)
            made.environment |= environment
            at_end.callback(made.kill_all)
            return made

        first, others = mac("first"), [mac(name) for name in ("second", "third")]
        workers = [Supervised([one.script, "work"], one.environment, one.settings.log_dir / "output") for one in others]
        for one in workers:
            at_end.callback(one.stop)

        def faults(serve: Supervised, command: Supervised) -> Mapping[str, Fault]:
            own = kinds.process_in(first.settings.worker_lock)
            second, third = map(kinds.process_of, workers)
            api, queue = kinds.process_of(serve), kinds.process_of(broker)
            return {
                "kill first worker": kinds.kill(own),
                "kill second worker": kinds.kill(second),
                "kill third worker": kinds.kill(third),
                "freeze first worker": kinds.freeze(own, lid=True),
                "freeze second worker": kinds.freeze(second, lid=True),
                "kill API": kinds.kill(api),
                "freeze API": kinds.freeze(api),
                "kill command": kinds.kill(kinds.process_of(command)),
                "kill broker": kinds.kill(queue),
                "freeze broker": kinds.freeze(queue),
                "slow broker": kinds.slow_down(queue),
                "flush broker": kinds.flush(first.settings),
                "read-only broker": kinds.read_only_broker(first.settings),
                "database away": kinds.restart(postgres.stop, postgres.start),
            }

        run_chaos(first, tmp_path, "three workers on Postgres", faults)
        for one in workers:
            assert one.stop() == 0
        for host in (first, *others):
            until(lambda host=host: host.processes() == [], "the end of all processes", 60)  # type: ignore[misc]
    pictures = tmp_path / "pictures"
    assert sorted(path.name for path in pictures.iterdir() if path.suffix not in (".png", ".txt")) == []
