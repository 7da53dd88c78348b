"""A Hugging Face hub on loopback, with the part of the hub's protocol that its client needs to download a model."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"
#: A model whose licence has to be accepted before the download.
GATED = "somebody/gated"
#: A model whose refusal repeats what the client has sent.
ECHOING = "somebody/echoing"
#: Bytes above which a file is a large one.
LARGE = 10_000_000
_API = re.compile(r"/api/models/([\w.-]+/[\w.-]+)(/.*)?")
_FILE = re.compile(r"/([\w.-]+/[\w.-]+)/resolve/[\w]+/(.+)")


@dataclass
class Traffic:
    """What a hub was asked for and has sent, and how it deals with one file."""

    #: Bytes of the bodies that were sent, and the ranges that were asked for, by the names of files.
    sent: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[str, str]] = field(default_factory=list)
    #: The file that is not sent on after so many bytes of it, until `go_on` is set.
    held: str = ""
    held_after: int = 0
    stands: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    #: The sizes that the hub claims for files.
    claimed: dict[str, int] = field(default_factory=dict)
    #: Whether the hub sends whole files to clients that ask for the rest.
    ignores_ranges: bool = False

    def hold(self, file: str, after: int) -> None:
        """Hold the next downloads of a file after so many bytes of the file."""
        self.held, self.held_after = file, after
        self.stands.clear()
        self.go_on.clear()

    def release(self) -> None:
        """Send everything from now on."""
        self.held = ""
        self.go_on.set()


@contextmanager
def local_hub(
    models: Mapping[str, Path], *, breaks_off_once: str | None = None, traffic: Traffic | None = None
) -> Iterator[dict[str, str]]:
    """Serve folders as repositories; yield the environment variables that point the hub's client to this server.

    Args:
        breaks_off_once: a file whose first download ends in the middle. The next one has to ask for the rest only. The client
            keeps whole chunks of 10 MB.
        traffic: counts what is sent, and may hold a file.
    """
    counted = traffic or Traffic()
    broken = set[str]()

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.split("?", maxsplit=1)[0]
            if asked := _API.fullmatch(path):
                self._describe(asked[1], asked[2] or "")
            elif asked := _FILE.fullmatch(path):
                self._send_file(asked[1], asked[2])
            else:
                self._refuse(HTTPStatus.NOT_FOUND, "EntryNotFound")

        do_HEAD = do_GET

        def _describe(self, model: str, rest: str) -> None:
            if model not in models:
                self._refuse(HTTPStatus.NOT_FOUND, "RepoNotFound")
                return
            files = sorted(file for file in models[model].iterdir() if file.is_file())
            if rest.startswith("/tree"):
                found: object = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _etag(file)}
                    for file in files
                ]
            else:
                found = {"id": model, "sha": REVISION, "siblings": [{"rfilename": file.name} for file in files]}
            self._send(json.dumps(found).encode(), {"Content-Type": "application/json"})

        def _send_file(self, model: str, name: str) -> None:
            if model == GATED:
                self._refuse(HTTPStatus.FORBIDDEN, "GatedRepo")
                return
            if model == ECHOING and self.command == "GET" and name.endswith(".safetensors"):
                self.send_response(HTTPStatus.FORBIDDEN)
                self.send_header("X-Error-Message", f"no \x9b2J {self.headers.get('Authorization')}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            file = models.get(model, Path("/nowhere")) / name
            if not file.is_file():
                self._refuse(HTTPStatus.NOT_FOUND, "EntryNotFound" if model in models else "RepoNotFound")
                return
            headers = {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
            if self.command == "GET" and name == breaks_off_once:
                self._send_in_two_parts(file.read_bytes(), headers)
                return
            if (claimed := counted.claimed.get(name)) is not None and self.command == "HEAD":
                self._send(b"", {**headers, "Content-Length": str(claimed)})
                return
            self._send_rest(name, file.read_bytes(), headers)

        def _send_rest(self, name: str, body: bytes, headers: Mapping[str, str]) -> None:
            asked = "" if counted.ignores_ranges else self.headers.get("Range", "")
            begun = re.fullmatch(r"bytes=(\d+)-", asked)
            start, status = 0, HTTPStatus.OK
            if begun is not None:
                start, status = int(begun[1]), HTTPStatus.PARTIAL_CONTENT
                headers = {**headers, "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
                counted.ranges.append((name, asked))
            if self.command == "GET" and name == counted.held:
                self._send(body[start:], headers, status, most=max(0, counted.held_after - start))
                counted.sent[name] += max(0, counted.held_after - start)
                counted.stands.set()
                counted.go_on.wait()
                start = max(start, counted.held_after)
                # The client may have been killed.
                with suppress(OSError):
                    self.wfile.write(body[start:])
                    counted.sent[name] += len(body) - start
                return
            self._send(body[start:], headers, status)
            counted.sent[name] += len(body) - start if self.command == "GET" else 0

        def _send_in_two_parts(self, body: bytes, headers: Mapping[str, str]) -> None:
            begun = re.fullmatch(r"bytes=([1-9]\d*)-", self.headers.get("Range", ""))
            if not broken:
                broken.add(self.path)
                self._send(body, headers, most=len(body) - 1)
                self.close_connection = True
            elif begun is not None:
                start = int(begun[1])
                headers = {**headers, "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
                self._send(body[start:], headers, HTTPStatus.PARTIAL_CONTENT)
            else:
                self._refuse(HTTPStatus.BAD_REQUEST, "WholeFileAgain")

        def _send(
            self,
            body: bytes,
            headers: Mapping[str, str],
            status: HTTPStatus = HTTPStatus.OK,
            most: int | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[:most])

        def _refuse(self, status: HTTPStatus, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
        }
    finally:
        counted.release()
        server.shutdown()
        server.server_close()
        thread.join()


def _etag(file: Path) -> str:
    # The hub knows large files by another hash than git.
    kind = hashlib.sha256 if file.stat().st_size > LARGE else hashlib.sha1
    return kind(file.read_bytes(), usedforsecurity=False).hexdigest()
