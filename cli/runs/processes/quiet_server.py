"""uvicorn's server without its timer: it wakes up for clients and signals only, not ten times a second."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import uvicorn
from uvicorn.server import ServerState


class QuietServer(uvicorn.Server):
    """A server that sleeps while no client wants anything."""

    _loop: asyncio.AbstractEventLoop | None = None
    _ending: asyncio.Event
    _should_exit = False

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = _DatedState(config)

    @property
    def should_exit(self) -> bool:
        """Whether the server ends. May be set by a signal's handler or by any thread."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if value and self._loop is not None:
            self._loop.call_soon_threadsafe(self._ending.set)

    async def main_loop(self) -> None:
        """Wait until the server ends. uvicorn's own loop also counts requests up to a limit, which captionq does not set."""
        self._ending = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._ending.wait()
        self._loop = None


class _DatedState(ServerState):
    """The server's state, with the header `Date` of the present second: uvicorn's timer would write it into the state."""

    def __init__(self, config: uvicorn.Config) -> None:
        self._config = config
        self._second = 0
        self._headers: list[tuple[bytes, bytes]] = []
        super().__init__()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of each response."""
        second = int(time.time())
        if second != self._second:
            date = [(b"date", formatdate(second, usegmt=True).encode())] if self._config.date_header else []
            self._second, self._headers = second, [*date, *self._config.encoded_headers]
        return self._headers

    @default_headers.setter
    def default_headers(self, value: list[tuple[bytes, bytes]]) -> None:
        """Ignore uvicorn's headers, which are made once."""
