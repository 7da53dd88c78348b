"""The serving process: uvicorn in the main thread, and a watch over broker and worker beside it."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from redis.exceptions import RedisError

from api.app import create_app
from cli.runs.services import Services
from jobs.errors import CaptionqError, SettingsError, WorkerError
from jobs.logging_setup import set_up_logging
from jobs.settings import Settings
from jobs.store.store import Store

logger = logging.getLogger("captionq.serve")

#: Seconds between two looks at broker and worker.
LOOK_EVERY = 1.0
#: Seconds until a worker that would not stay up is tried again.
WORKER_PAUSE = 30.0
#: File descriptors that are asked for.
MANY_FILES = 8192
#: Seconds for telling those whose answers are not there when the grace is over.
LAST_WORDS = 2.0
#: Connections that may wait to be accepted.
BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn's server, which tells the application when it is asked to end."""

    def __init__(self, config: uvicorn.Config, grace: float) -> None:
        super().__init__(config)
        self._grace = grace

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Without uvicorn's end: it would raise the signal again, and leave worker and broker to themselves."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains: streams that can be resumed elsewhere are let go, answers are finished."""
        resources = getattr(self.config.app.state, "resources", None)  # type: ignore[union-attr]  # ours is an application
        if resources is not None:
            resources.draining.set()
            resources.hub.end_event_streams()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers that are late are given up in good order: uvicorn would break them off."""
        resources = self.config.app.state.resources  # type: ignore[union-attr]
        asyncio.get_running_loop().call_later(self._grace, resources.hub.end_all_streams)
        await super().shutdown(sockets)


def run(settings: Settings, *, host: str, port: int, with_worker: bool, log_json: bool) -> None:
    """Until a signal says stop. Raises SettingsError, BrokerError, DatabaseError."""
    check_address(host, settings)
    _allow_many_files()
    set_up_logging(settings, "serve.log", as_json=log_json)
    # What is wrong with the database is said here, in one line.
    Store(settings).close()
    listener = _listen(host, port)
    with _services(Services(settings, with_worker=with_worker, worker_options=["--log-json"] * log_json)):
        config = uvicorn.Config(
            create_app(settings),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(settings.grace + LAST_WORDS),
            timeout_keep_alive=75,
        )
        bound, number = listener.getsockname()[:2]
        shown = f"[{bound}]" if ":" in bound else bound
        logger.info("captionq serves at http://%s:%d/v1 from %s.", shown, number, settings.data_dir)
        Server(config, settings.grace).run(sockets=[listener])


def check_address(host: str, settings: Settings) -> None:
    """Raises SettingsError for an address that others reach, without a key that they need."""
    if settings.api_keys or host == "localhost":
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise SettingsError(
        f"{host} can be reached by others, and no API key is set. Set CAPTIONQ_API_KEYS, such as "
        '\'{"laptop": "a-long-secret"}\', or leave --host out.'
    )


def _allow_many_files() -> None:
    """A client is a file descriptor, and macOS begins with 256 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MANY_FILES if hard == resource.RLIM_INFINITY else min(MANY_FILES, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(f"{host}:{port} cannot be used ({error.strerror}). Take another --port.") from error
    listener.listen(BACKLOG)
    return listener


@contextmanager
def _services(running: Services) -> Iterator[None]:
    """Broker and worker, looked after in a thread for the length of the block."""
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(running, done), name="services", daemon=True)
    watch.start()
    try:
        yield
    finally:
        done.set()
        watch.join()
        running.stop()


def _watch(running: Services, done: threading.Event) -> None:
    pause = 0.0
    while not done.wait(pause):
        pause = LOOK_EVERY
        try:
            running.ensure()
        except WorkerError as error:
            logger.error("%s Tried again in %.0f s.", error.message, WORKER_PAUSE)  # noqa: TRY400  # the sentence says it all
            running.rest(WORKER_PAUSE)
        except (CaptionqError, RedisError) as error:
            logger.error("%s", error)  # noqa: TRY400
        except Exception:
            # No file descriptors, no memory: it may pass, and nobody else would start them again.
            logger.exception("The broker or the worker could not be looked after.")
