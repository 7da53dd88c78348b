"""The processes around one queue for `bench.scale`: an API, workers with the stub, a broker, a database. And their memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psutil
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.models.model_info import STUB
from jobs.queue import broker
from jobs.queue.broker_socket import socket_path
from jobs.queue.worker_state import live_workers
from jobs.store.store import Store
from tests.support.postgres import postgres_server
from tests.support.processes import SCRIPT, until

#: Seconds between two looks at the memory of the processes.
_LOOK_EVERY = 1.0
#: Seconds that workers may take to start on a machine with other work.
_PATIENCE = 600.0


@dataclass
class Site:
    """A database, a broker and captionq's processes beside them."""

    database: str
    folder: Path
    settings: Settings
    store: Store
    connection: Redis
    peaks: dict[str, int] = field(default_factory=dict)
    workers: list[psutil.Process] = field(default_factory=list)

    @contextmanager
    def processes(self, workers: int) -> Iterator[None]:
        """Run an API and some workers; `peaks` has the most memory (bytes) that each kind has had, also this process's."""
        self.peaks.clear()
        with ExitStack() as started:
            kinds = [("api", started.enter_context(self._process("serve", "--no-worker", "--port", "0", name="api")))]
            for number in range(workers):
                kinds.append(("worker", started.enter_context(self._process("work", name=f"worker-{number}"))))
            self.workers = [process for kind, process in kinds if kind == "worker"]
            until(lambda: len(live_workers(self.connection)) == workers, "the workers", _PATIENCE)
            started.enter_context(self._watched([*kinds, ("command", psutil.Process())]))
            yield

    def worker_seconds(self) -> float:
        """Return the CPU time that all workers have taken."""
        return sum(sum(worker.cpu_times()[:2]) for worker in self.workers)

    @contextmanager
    def _process(self, *arguments: str, name: str) -> Iterator[psutil.Process]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("CAPTIONQ_")} | {
            "CAPTIONQ_DATA_DIR": str(self.folder / name),
            "CAPTIONQ_DATABASE_URL": self.settings.database,
            "CAPTIONQ_REDIS_URL": f"unix://{quote(str(socket_path(self.settings)))}",
            "CAPTIONQ_MODEL": STUB,
            "CAPTIONQ_CACHE": "false",
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([SCRIPT, *arguments], env=own, stdout=log, stderr=log)
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextmanager
    def _watched(self, kinds: list[tuple[str, psutil.Process]]) -> Iterator[None]:
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_LOOK_EVERY):
                for kind, process in kinds:
                    with suppress(psutil.Error):
                        self.peaks[kind] = max(self.peaks.get(kind, 0), process.memory_info().rss)
                info: Any = self.connection.info("memory")
                self.peaks["redis"] = max(self.peaks.get("redis", 0), info["used_memory"])

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@contextmanager
def opened(database: str) -> Iterator[Site]:
    """Open an empty database (`sqlite`, `postgres`), and a broker."""
    with TemporaryDirectory(prefix="captionq-scale-", ignore_cleanup_errors=True) as name, ExitStack() as opened:
        folder = Path(name)
        url = None
        if database == "postgres":
            url = opened.enter_context(postgres_server(safe=True)).create_database("scale")
        settings = Settings(data_dir=folder / "data", model=STUB, database_url=url)
        store = Store(settings)
        opened.callback(store.close)
        running = broker.find_or_start(settings)
        opened.callback(running.stop)
        yield Site(database, folder, settings, store, running.connection)


def loop_seconds() -> float:
    """Return the processor time of ten million additions, for comparing machines."""
    begun, total = time.process_time(), 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - begun
