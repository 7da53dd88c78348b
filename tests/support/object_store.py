"""A server that speaks S3, as a process: its bucket, and the variables by which programs find it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx2
from obstore.store import S3Store

from tests.support.processes import until

BUCKET = "pictures"


@dataclass(frozen=True)
class ObjectStore:
    """A running server with an empty bucket."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables of programs that use it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "a-secret-that-no-log-may-hold",
            "AWS_REGION": "us-east-1",
        }

    @cached_property
    def _signed(self) -> S3Store:
        return S3Store(
            BUCKET,
            endpoint=self.url,
            access_key_id="someone",
            secret_access_key="a-secret-that-no-log-may-hold",
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def put(self, key: str, content: bytes) -> None:
        """Write an object as another program does."""
        self._signed.put(key, content)

    def get(self, key: str) -> bytes | None:
        """Read an object as another program does; None: there is none."""
        try:
            return bytes(self._signed.get(key).bytes())
        except FileNotFoundError:
            return None


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Run a server at a free port, with a log in the folder."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | {"MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": "1"}
        )
    store = ObjectStore(f"http://127.0.0.1:{port}")
    try:
        until(lambda: _makes_bucket(store), "the server of objects")
        yield store
    finally:
        process.terminate()
        process.wait(30)


def _makes_bucket(store: ObjectStore) -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.put(f"{store.url}/{BUCKET}").is_success
    return False
