"""Deadline of a whole exchange: timeouts of single reads do not stop a server that sends a byte now and then."""

from __future__ import annotations

import ssl
import time
from typing import Any

import httpcore2


class Deadline:
    """Deadline some seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self, error: type[httpcore2.TimeoutException]) -> float:
        """Return the seconds left, more than 0. Raises `error` when the time is over."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise error
        return seconds


class TimedStream(httpcore2.NetworkStream):
    """Stream whose operations all end at the deadline; their own timeouts are ignored."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = self._deadline.left(httpcore2.ConnectTimeout)
        return TimedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
