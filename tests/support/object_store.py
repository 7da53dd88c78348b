"""A server that speaks S3, as a process: its bucket, and the variables by which programs find it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

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

    def put(self, key: str, content: bytes) -> None:
        """Write an object as another program does."""
        httpx2.put(f"{self.url}/{BUCKET}/{key}", content=content).raise_for_status()

    def get(self, key: str) -> bytes | None:
        """Read an object as another program does; None: there is none."""
        response = httpx2.get(f"{self.url}/{BUCKET}/{key}")
        return None if response.status_code == 404 else response.raise_for_status().content


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Run a server at a free port, with a log in the folder."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
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
