"""The serving process: uvicorn in the main thread. Another thread keeps broker and worker running: `service_watch.py`."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from api.app import create_app
from cli.runs.processes.header_timeout import HeaderTimeoutProtocol
from cli.runs.processes.missing_model import announce_missing_model
from cli.runs.processes.quiet_server import QuietServer
from cli.runs.processes.service_watch import kept_running
from cli.runs.processes.services import Services
from jobs.configuration.settings import Settings
from jobs.errors import SettingsError
from jobs.hang_up import on_hang_up
from jobs.logging_setup import set_up_logging
from jobs.models.model_info import is_here
from jobs.store.store import Store

logger = logging.getLogger("captionq.serve")

#: File descriptors that the process asks for.
MANY_FILES = 8192
#: Seconds after the grace for sending errors to clients whose answers are not ready.
FAREWELL_SECONDS = 2.0
#: Connections that may wait to be accepted.
BACKLOG = 2048


class Server(QuietServer):
    """uvicorn's server, extended to tell the application that it is shutting down."""

    def __init__(self, config: uvicorn.Config, grace: float) -> None:
        super().__init__(config)
        self._grace = grace
        self._hurries = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals without raising them again at the end, as uvicorn does: worker and broker would be left running."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        on_hang_up(self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal: end the streams that clients can resume, and finish answers. A second signal hurries."""
        resources = getattr(self.config.app.state, "resources", None)  # type: ignore[union-attr]  # ours is an application
        if resources is not None:
            resources.draining.set()
            resources.hub.end_event_streams()
        # A shell that ends, and the terminal itself, may both say that the terminal has closed.
        if self.should_exit and sig != signal.SIGHUP and resources is not None and not self._hurries:
            self._hurries = True
            logger.info("Stopping now; answers that are not ready end with an error.")
            asyncio.get_running_loop().call_soon_threadsafe(resources.hub.end_all_streams)
            return
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down; after the grace, end late answers with an error, where uvicorn would cut their connections."""
        logger.info("Stopping; answers that are being generated get %.0f s.", self._grace)
        resources = self.config.app.state.resources  # type: ignore[union-attr]
        asyncio.get_running_loop().call_later(self._grace, resources.hub.end_all_streams)
        await super().shutdown(sockets)


def run(
    settings: Settings,
    *,
    host: str,
    port: int,
    ollama_port: int | None,
    with_worker: bool,
    log_json: bool,
    quiet: bool = False,
) -> None:
    """Serve until a signal arrives; `ollama_port`: another port to listen on, for Ollama's clients.

    Raises SettingsError, BrokerError, DatabaseError.
    """
    check_address(host, settings)
    _allow_many_files()
    set_up_logging(settings, "serve.log", as_json=log_json, to_terminal=not quiet)
    # A fault of the database is reported here, in one line.
    Store(settings).close()
    listeners = [listen(host, port, "Choose another --port.")]
    if ollama_port is not None:
        listeners.append(listen(host, ollama_port, "Stop Ollama if it is running, or choose another --ollama-port."))
    worker_options = ["--model", settings.model, *(["--log-json"] if log_json else [])]
    with kept_running(Services(settings, with_worker=with_worker, worker_options=worker_options)):
        config = uvicorn.Config(
            create_app(settings, ollama_port=None if ollama_port is None else listeners[1].getsockname()[1]),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(settings.grace + FAREWELL_SECONDS),
            timeout_keep_alive=75,
            http=HeaderTimeoutProtocol,
        )
        logger.info("captionq serves at %s/v1 from %s.", _address(listeners[0]), settings.data_dir)
        for listener in listeners[1:]:
            logger.info("Clients of Ollama are served at %s.", _address(listener))
        if with_worker and not is_here(settings.model):
            announce_missing_model(settings.model)
        Server(config, settings.grace).run(sockets=listeners)


def check_address(host: str, settings: Settings) -> None:
    """Raise SettingsError if other machines can reach the address and no API key is set."""
    if settings.api_keys or host == "localhost":
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        # A host name. Which machines can reach it is not known, so it counts as reachable.
        pass
    raise SettingsError(
        f"{host} can be reached by other machines, and no API key is set. Set CAPTIONQ_API_KEYS, such as "
        '\'{"laptop": "a-long-secret"}\', or leave --host out.'
    )


def _allow_many_files() -> None:
    """Raise the limit of open files: each client is a file descriptor, and macOS starts with a limit of 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MANY_FILES if hard == resource.RLIM_INFINITY else min(MANY_FILES, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def listen(host: str, port: int, way_out: str) -> socket.socket:
    """Listen on a port. Raises SettingsError; `way_out`: the sentence that ends its message."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small pieces at once (TCP_NODELAY) only if the protocol is named. Otherwise the rest of each answer waits
    # 40 ms for the client's acknowledgement of its beginning.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(f"{host}:{port} cannot be used ({error.strerror}). {way_out}") from error
    listener.listen(BACKLOG)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
