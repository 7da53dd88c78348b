"""The image's server against Valkey and Postgres, with a worker outside: a chat and a folder through it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from jobs.configuration.settings import Settings
from jobs.queue.broker_server import server_binary
from tests.support.known_models import know_built_in_models
from tests.support.postgres import postgres_server
from tests.support.processes import PATIENCE, SCRIPT, until
from tests.support.scenes import save_scenes
from tests.support.serving import data_uri
from tools.image_test.building import IMAGE, inspect
from tools.image_test.looking import command_in, container

_KEY = "a-key-of-the-image-test"
#: The folder of the pictures in the container. The worker has it elsewhere, as Macs do.
_PICTURES = "/pictures"
#: The image's user.
_UID = 1000


def check_service() -> Iterator[str]:
    """Yield a sentence for each check that the server passes. Exits at the first that it does not."""
    with tempfile.TemporaryDirectory(prefix="captionq-image-") as name, postgres_server(_free_port()) as postgres:
        folder = Path(name)
        folder.chmod(0o755)
        data, pictures = folder / "data", folder / "pictures"
        pictures.mkdir()
        images = list(save_scenes(pictures, 3))
        know_built_in_models(_made(Settings(data_dir=data, model="demo")))
        for path in (folder, *folder.rglob("*")):
            os.chown(path, _UID, _UID)
        with _valkey(folder) as redis_url:
            shared = {"CAPTIONQ_DATABASE_URL": postgres.create_database("image"), "CAPTIONQ_REDIS_URL": redis_url}
            with container() as box, _server(box, shared, data, pictures) as url, _worker(shared, data, pictures):
                yield from _use(url, images)
            yield "the server stops at SIGTERM"


def _made(settings: Settings) -> Settings:
    settings.make_folders()
    return settings


def _use(url: str, images: list[Path]) -> Iterator[str]:
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {_KEY}"}, timeout=PATIENCE) as client:
        until(lambda: client.get("/readyz").status_code == 200, "the worker")
        yield "ready: Valkey, Postgres and a worker answer"
        parts: list[dict[str, Any]] = [
            {"type": "text", "text": "Describe this image."},
            {"type": "image_url", "image_url": {"url": data_uri(images[0])}},
        ]
        body = {"model": "demo", "messages": [{"role": "user", "content": parts}]}
        answer = _checked(client.post("/v1/chat/completions", json=body))
        yield f"a chat: {answer['choices'][0]['message']['content'].strip()!r}"
        batch = _checked(client.post("/v1/folders", json={"path": _PICTURES}))
        texts = [image.with_suffix(".txt") for image in images]
        until(lambda: all(text.exists() for text in texts), f"the texts of {batch['id']}")
        yield f"a folder: {len(texts)} texts, the first is {texts[0].read_text().strip()!r}"


def _checked(response: httpx2.Response) -> dict[str, Any]:
    if response.is_error:
        sys.exit(f"The server answered {response.status_code}: {response.text}")
    answer: dict[str, Any] = response.json()
    return answer


@contextmanager
def _valkey(folder: Path) -> Iterator[str]:
    port = _free_port()
    command = [server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with _process(command, folder / "valkey.log"):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _server(box: str, shared: dict[str, str], data: Path, pictures: Path) -> Iterator[str]:
    """Start the image's own command, and wait for its own health check."""
    configuration, port = inspect(IMAGE), _free_port()
    environment = shared | {
        "CAPTIONQ_API_KEYS": json.dumps({"test": _KEY}),
        "CAPTIONQ_MODEL": "demo",
        "CAPTIONQ_SERVED_ROOTS": json.dumps([_PICTURES]),
    }
    options = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    options += ["--volume", f"{data}:/data", "--volume", f"{pictures}:{_PICTURES}"]
    command = [*configuration["Entrypoint"], *configuration["Cmd"], "--port", str(port)]
    with _process(command_in(box, command, *options), data.parent / "api.log"):
        check = [word.replace("8484", str(port)) for word in configuration["Healthcheck"]["Test"][1:]]
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(command_in(box, check), capture_output=True).returncode:
            if time.monotonic() > deadline:
                sys.exit(f"The server is not healthy:\n{(data.parent / 'api.log').read_text()[-3000:]}")
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _worker(shared: dict[str, str], data: Path, pictures: Path) -> Iterator[None]:
    environment = shared | {"CAPTIONQ_DATA_DIR": str(data), "CAPTIONQ_PATH_MAP": f"{_PICTURES}={pictures}"}
    with _process([SCRIPT, "work"], data.parent / "worker.log", environment):
        yield


@contextmanager
def _process(command: list[Any], log: Path, environment: dict[str, str] | None = None) -> Iterator[None]:
    """Run a process for the block, and stop it by SIGTERM in the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=os.environ | (environment or {})
        )
        try:
            yield
        except (AssertionError, SystemExit):
            shutil.copyfileobj(log.open(errors="replace"), sys.stderr)
            raise
        finally:
            process.terminate()
            process.wait(60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
