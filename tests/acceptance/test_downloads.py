"""Models that an admin has downloaded over HTTP: a real server and worker, and a hub on loopback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ollama
import psutil
import pytest

from jobs.configuration.settings import Settings
from jobs.models.model_info import built_in_models
from tests.support.hub import ECHOING, GATED, Traffic, local_hub
from tests.support.processes import DATA_FOLDER, until
from tests.support.serving import Served, hello, serving

pytestmark = pytest.mark.timeout(300)

#: The large file of the large models, and its size: three of the pieces in which the hub's client writes.
LARGE, SIZE = "more.safetensors", 33_000_000
PIECE = 10_485_760
TOKEN = "hf_" + "secretsecret"


@dataclass
class World:
    """A server whose worker downloads from a hub."""

    served: Served
    traffic: Traffic
    cache: Path
    #: Ollama's own client.
    ollama: ollama.Client

    def ask(self, model: str, **more: str) -> dict[str, Any]:
        """Ask for a download, and return it."""
        answer = self.served.client.post("/v1/downloads", json={"model": model, **more})
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def look(self, download_id: str) -> dict[str, Any]:
        """Return a download."""
        answer = self.served.client.get(f"/v1/downloads/{download_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, download_id: str) -> dict[str, Any]:
        """Wait for the end of a download, and return it."""
        until(lambda: self.look(download_id)["status"] not in ("queued", "running"), "the end of the download")
        return self.look(download_id)

    def begun(self, model: str) -> dict[str, Any]:
        """Let the hub hold the model's large file in its third piece, ask for the model, and wait until two pieces have come."""
        self.traffic.hold(LARGE, 2 * PIECE + 1000)
        asked = self.ask(model)
        until(lambda: self.look(asked["id"])["bytes"] >= 2 * PIECE, "two pieces")
        return self.look(asked["id"])

    def process(self) -> psutil.Process:
        """Return the process that downloads."""
        (found,) = self.processes()
        return found

    def processes(self) -> list[psutil.Process]:
        """Return the processes that download."""
        return [one for one in self.served.captionq.processes() if "download_process" in " ".join(one.info["cmdline"])]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server without keys: its clients are its owner's."""
    folder = tmp_path_factory.mktemp("downloads")
    settings = Settings(data_dir=folder / DATA_FOLDER, model="demo")
    settings.make_folders()
    models = dict.fromkeys((GATED, ECHOING, "somebody/small"), built_in_models()["demo-text"])
    for number in range(5):
        source = folder / f"large-{number}"
        shutil.copytree(built_in_models()["demo-text"], source)
        # The hub's client knows files by their contents.
        (source / LARGE).write_bytes(bytes([number]) * SIZE)
        models[f"somebody/large-{number}"] = source
    traffic, home = Traffic(), folder / "huggingface"
    with local_hub(models, traffic=traffic) as hub:
        # The hub stands still longer than the client's patience of ten seconds.
        environment: dict[str, Any] = {**hub, "HF_HOME": str(home), "HF_TOKEN": TOKEN, "HF_HUB_DOWNLOAD_TIMEOUT": "300"}
        with serving(settings, **environment) as served, ollama.Client(host=served.url) as client:
            yield World(served, traffic, home / "hub", client)


def test_a_model_is_downloaded_and_can_be_asked_for(world: World) -> None:
    """It is listed at once, and confirmed when it is asked for again. A worker may be named."""
    (worker,) = world.served.client.get("/v1/workers").json()["data"]
    # The list is kept for a while.
    assert "somebody/small" not in world.served.client.get("/v1/models").text
    asked = world.ask("somebody/small", worker=worker["name"])
    assert (asked["object"], asked["model"], asked["worker"]) == ("download", "somebody/small", worker["name"])
    done = world.ended(asked["id"])
    assert (done["status"], done["error"]) == ("succeeded", None)
    assert done["bytes"] == done["total_bytes"] > 0
    assert "somebody/small" in [one["id"] for one in world.served.client.get("/v1/models").json()["data"]]
    assert world.ended(world.ask("somebody/small")["id"])["status"] == "succeeded"
    assert world.ollama.pull("somebody/small").status == "success"
    refused = world.served.client.delete(f"/v1/downloads/{done['id']}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    assert world.served.client.get("/v1/downloads/download_0").status_code == 404


def test_a_download_is_joined_followed_and_not_in_the_way(world: World) -> None:
    """Questions are answered meanwhile. Ollama's clients see the progress, and leave without ending the download."""
    before = world.traffic.sent[LARGE]
    asked = world.begun("somebody/large-0")
    assert world.served.client.post("/v1/chat/completions", json=hello(max_tokens=4)).status_code == 200
    assert world.ask("somebody/large-0")["id"] == asked["id"]
    with ollama.Client(host=world.served.url) as leaving:
        steps = leaving.pull("somebody/large-0", stream=True)
        first, second = next(steps), next(steps)
        steps.close()
    assert first.status == "pulling manifest"
    assert (second.status, second.completed) == ("pulling somebody/large-0", asked["bytes"])
    assert (second.total or 0) > SIZE
    assert len(second.digest or "") == len("sha256:") + 64
    assert world.look(asked["id"])["status"] == "running"
    lines = world.ollama.pull("somebody/large-0", stream=True)
    next(lines)
    world.traffic.release()
    told = list(lines)
    assert told[-1].status == "success"
    assert told[-2].completed == told[-2].total == world.look(asked["id"])["bytes"]
    assert world.traffic.sent[LARGE] - before == SIZE
    listed = world.served.client.get("/v1/downloads").json()["data"]
    assert [one["status"] for one in listed if one["id"] == asked["id"]] == ["succeeded"]


@pytest.mark.parametrize(("model", "victim"), [("somebody/large-1", "download"), ("somebody/large-2", "worker")])
def test_a_killed_download_is_told_and_resumed(world: World, model: str, victim: str) -> None:
    """The process that downloads ends with its worker. The next download asks for what is missing only."""
    asked = world.begun(model)
    sent = world.traffic.sent[LARGE]
    process = world.process()
    (process if victim == "download" else psutil.Process(world.served.captionq.worker_pid())).kill()
    killed = world.ended(asked["id"])
    assert (killed["status"], killed["error"]["code"]) == ("failed", "download_interrupted")
    assert "goes on where it stopped" in killed["error"]["message"]
    until(lambda: not process.is_running(), "the end of the process")
    world.traffic.release()
    until(lambda: world.served.client.get("/readyz").status_code == 200, "the next worker")
    again = world.ask(model)
    assert again["id"] != asked["id"]
    assert world.ended(again["id"])["status"] == "succeeded"
    assert world.traffic.ranges[-1] == (LARGE, f"bytes={2 * PIECE}-")
    # What the killed process did not read comes on top.
    assert world.traffic.sent[LARGE] - sent <= 2 * (SIZE - 2 * PIECE)
    (whole,) = [file for file in world.cache.rglob(LARGE) if model.rpartition("/")[2] in str(file)]
    assert whole.read_bytes() == bytes([int(model[-1])]) * SIZE


def test_a_download_is_cancelled_also_while_it_waits(world: World) -> None:
    """A worker downloads one model at a time. What is there stays for the next try."""
    asked, waiting = world.begun("somebody/large-3"), world.ask("somebody/large-4")
    assert waiting["status"] == "queued"
    ended = world.served.client.delete(f"/v1/downloads/{waiting['id']}")
    assert (ended.status_code, ended.json()["status"]) == (200, "cancelled")
    assert world.served.client.delete(f"/v1/downloads/{asked['id']}").status_code == 200
    assert world.ended(asked["id"])["status"] == "cancelled"
    until(lambda: world.processes() == [], "the end of the process")
    assert world.served.client.delete(f"/v1/downloads/{asked['id']}").status_code == 200
    world.traffic.release()
    assert world.ended(world.ask("somebody/large-3")["id"])["status"] == "succeeded"
    assert world.traffic.ranges[-1] == (LARGE, f"bytes={2 * PIECE}-")


def test_a_model_larger_than_the_disk_is_not_begun(world: World) -> None:
    """The check is made where the worker is. The message has the sizes, and no path."""
    world.traffic.claimed[LARGE] = 10**15
    before = world.traffic.sent[LARGE]
    failed = world.ended(world.ask("somebody/large-4")["id"])
    del world.traffic.claimed[LARGE]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "model_unavailable")
    assert "'somebody/large-4' needs 1.0 PB, and only " in failed["error"]["message"]
    assert str(world.cache.parent) not in json.dumps(failed)
    assert world.traffic.sent[LARGE] == before


def test_a_model_that_cannot_be_had_is_told_and_not_the_token(world: World) -> None:
    """The record, a stream and a single answer have the reason."""
    failed = world.ended(world.ask("somebody/nothing")["id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "model_not_found")
    assert "There is no model 'somebody/nothing'" in failed["error"]["message"]
    with pytest.raises(ollama.ResponseError, match="There is no model 'somebody/nothing'") as whole:
        world.ollama.pull("somebody/nothing")
    assert whole.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="licence"):
        list(world.ollama.pull(GATED, stream=True))
    echoed = world.ended(world.ask(ECHOING)["id"])["error"]["message"]
    assert "Bearer" in echoed
    assert "\x9b" not in echoed
    logs = "".join(file.read_text() for file in world.served.captionq.settings.log_dir.iterdir() if file.is_file())
    assert f"{GATED} was not downloaded" in logs
    assert ECHOING in logs
    assert TOKEN not in logs + world.served.client.get("/v1/downloads").text


@pytest.mark.parametrize(
    "model",
    ["nothing", "/etc/passwd", "~/models", "../a/b", "a/b/c", "a--b/c", "owner/..", "a/b+adapter=/tmp", "a/b@c"],
)
def test_only_names_of_the_hub_are_taken(world: World, model: str) -> None:
    """A path is none, and nothing that leads out of the cache."""
    refused = world.served.client.post("/v1/downloads", json={"model": model})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert world.served.client.post("/api/pull", json={"model": model}).status_code == 404


def test_a_key_needs_the_admin_right_and_a_download_a_worker(tmp_path: Path) -> None:
    """Both are refused at once, in the words of each dialect. A model that is here is confirmed to every key."""
    keys = {"boss": "the-key-of-the-boss", "guest": "the-key-of-the-guest"}
    settings = Settings(data_dir=tmp_path / DATA_FOLDER, model="demo")
    settings.make_folders()
    environment = {"CAPTIONQ_API_KEYS": json.dumps(keys), "CAPTIONQ_ADMIN_KEYS": '["boss"]'}
    with serving(settings, "--no-worker", ready=False, **environment) as served:
        boss, guest = ({"Authorization": f"Bearer {key}"} for key in keys.values())
        body = {"model": "somebody/small"}
        for method, path in (("POST", ""), ("GET", ""), ("GET", "/download_1"), ("DELETE", "/download_1")):
            refused = served.client.request(method, f"/v1/downloads{path}", json=body, headers=guest)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "admin_required")
        refused = served.client.post("/api/pull", json=body, headers=guest)
        assert refused.status_code == 403
        assert "'guest' has no admin right" in refused.json()["error"]
        assert (
            served.client.post("/api/pull", json={"model": "demo", "stream": False}, headers=guest).status_code == 200
        )
        for path in ("/v1/downloads", "/api/pull"):
            assert served.client.post(path, json=body).status_code == 401
            alone = served.client.post(path, json=body, headers=boss)
            assert (alone.status_code, alone.headers["Retry-After"]) == (503, "5")
            assert "captionq work" in alone.text
        assert served.client.get("/v1/downloads", headers=boss).json() == {"object": "list", "data": []}
