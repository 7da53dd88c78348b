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
def local_hub(models: Mapping[str, Path]) -> Iterator[dict[str, str]]:
    """Serve folders as repositories; yield the environment variables that point the hub's client to this server."""

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
            self._send(file.read_bytes(), {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": REVISION})

        def _send(self, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(HTTPStatus.OK)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

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
