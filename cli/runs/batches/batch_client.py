"""The client of `captionq batch submit|status|cancel|fetch`: OpenAI's Files and Batches of a running server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
from pydantic_core import from_json

from jobs.batches.lines import read_lines
from jobs.errors import InvalidRequestError, ServerError

#: Seconds without a byte after which a server counts as away.
PATIENCE = 60.0
#: Bytes of the longest first line.
LONGEST_LINE = 64_000_000
#: Addresses of this machine. No proxy reaches them, whatever the environment or macOS' settings say.
_THIS_MACHINE = ("all://localhost", "all://127.0.0.1", "all://[::1]")


class BatchClient:
    """The batches of one server."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def submit(self, source: Path, window: str) -> dict[str, Any]:
        """Upload a file of requests, and make a batch of it. Returns OpenAI's `batch`."""
        with source.open("rb") as file:
            uploaded = self._json("POST", "/v1/files", files={"file": (source.name, file)}, data={"purpose": "batch"})
        endpoint = _first_url(source)
        body = {"input_file_id": uploaded["id"], "endpoint": endpoint, "completion_window": window}
        return self._json("POST", "/v1/batches", json=body)

    def find(self, name: str) -> dict[str, Any]:
        """Return a batch by its id, or the newest one by the name `last`. Raises ServerError."""
        if name != "last":
            return self._json("GET", f"/v1/batches/{quote(name, safe='')}")
        if not (newest := self.newest(1)):
            raise ServerError("The server has no batches yet. Make one with: captionq batch submit FILE")
        return newest[0]

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest batches."""
        found: list[dict[str, Any]] = self._json("GET", f"/v1/batches?limit={limit}")["data"]
        return found

    def cancel(self, batch_id: str) -> dict[str, Any]:
        """Cancel a batch."""
        return self._json("POST", f"/v1/batches/{batch_id}/cancel")

    def fetch(self, file_id: str, path: Path) -> int:
        """Download a file of results into `path`, which is replaced when all of it is there. Returns its lines."""
        part = path.with_name(f".{path.name}.part")
        lines = 0
        try:
            with self._client.stream("GET", f"/v1/files/{file_id}/content") as response, part.open("wb") as file:
                if response.is_error:
                    response.read()
                    raise _error_of(response)
                for data in response.iter_bytes():
                    lines += data.count(b"\n")
                    file.write(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return lines

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = self._client.request(method, path, **options)
        if response.is_error:
            raise _error_of(response)
        found: dict[str, Any] = response.json()
        return found


@contextmanager
def connected(url: str, key: str | None) -> Iterator[BatchClient]:
    """Provide the client of the server at this address for the block. Raises ServerError if the server does not answer."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    with httpx2.Client(
        base_url=url.rstrip("/").removesuffix("/v1"),
        headers=headers,
        timeout=PATIENCE,
        mounts=dict.fromkeys(_THIS_MACHINE),
    ) as client:
        try:
            yield BatchClient(client)
        except httpx2.InvalidURL as error:
            raise ServerError(f"{url} is not an address: {error}.") from error
        except httpx2.TransportError as error:
            raise ServerError(f"No server answers at {url} ({error}). Start one with: captionq serve") from error


def _error_of(response: httpx2.Response) -> ServerError:
    """Return what the server says, or else the status."""
    try:
        words = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        words = (
            f"The server answered {response.status_code}. Is it captionq's, at {response.url.host}:{response.url.port}?"
        )
    return ServerError(words)


def _first_url(source: Path) -> str:
    """Return the `url` of the first request. Raises InvalidRequestError."""
    with source.open("rb") as file:
        for line in read_lines(file, longest=LONGEST_LINE):
            try:
                url = from_json(line.data or b"")["url"]
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidRequestError(f"{source}: line {line.number} is not a request with a url.") from error
            return str(url)
    raise InvalidRequestError(f"{source} has no requests.")
