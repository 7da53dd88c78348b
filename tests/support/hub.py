"""A Hugging Face hub on loopback, with the part of the hub's protocol that its client needs to download a model."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"
#: A model whose licence has to be accepted before the download.
GATED = "somebody/gated"
_API = re.compile(r"/api/models/([\w.-]+/[\w.-]+)(/.*)?")
_FILE = re.compile(r"/([\w.-]+/[\w.-]+)/resolve/[\w]+/(.+)")


@contextmanager
def local_hub(models: Mapping[str, Path], *, breaks_off_once: str | None = None) -> Iterator[dict[str, str]]:
    """Serve folders as repositories; yield the environment variables that point the hub's client to this server.

    `breaks_off_once`: a file whose first download ends in the middle. The next one has to ask for the rest only. The client
    keeps whole chunks of 10 MB.
    """
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
            file = models.get(model, Path("/nowhere")) / name
            if not file.is_file():
                self._refuse(HTTPStatus.NOT_FOUND, "EntryNotFound" if model in models else "RepoNotFound")
                return
            headers = {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
            if self.command == "GET" and name == breaks_off_once:
                self._send_in_two_parts(file.read_bytes(), headers)
                return
            self._send(file.read_bytes(), headers)

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
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
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
        server.shutdown()
        server.server_close()
        thread.join()


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
