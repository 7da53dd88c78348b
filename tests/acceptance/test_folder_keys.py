"""Repeated requests for folders and lists, to a `captionq serve` without a worker whose lane is soon full."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.configuration.settings import Settings
from jobs.creation.abandoned_batches import ABANDONED_AFTER
from jobs.creation.create import JOBS_A_TRANSACTION
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind, Job
from tests.acceptance.test_chat import png
from tests.support.processes import DATA_FOLDER
from tests.support.scenes import draw, save_scenes
from tests.support.serving import Served, data_uri, events_of, serving

pytestmark = pytest.mark.timeout(300)

HELLO = {"model": "demo-text", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The served folder."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Served]:
    """A server whose bulk lane holds four jobs, and whose uploads hold three files."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("keys") / DATA_FOLDER)
    settings.make_folders()
    limits = {"CAPTIONQ_MAX_WAITING_BULK": "4", "CAPTIONQ_MAX_UPLOAD_FILES": "3"}
    with serving(settings, "--no-worker", "--allow-root", root, ready=False, **limits) as running:
        yield running


@pytest.fixture
def served(shared: Served) -> Iterator[Served]:
    """The server, with empty lanes for the next test."""
    yield shared
    for job in shared.client.get("/v1/jobs", params={"status": "queued"}).json()["data"]:
        assert shared.client.delete(f"/v1/jobs/{job['id']}").status_code == 200


@pytest.fixture
def pictures(root: Path, tmp_path: Path) -> Path:
    """A folder of the test's own below the served folder."""
    return root / tmp_path.name


def twice(served: Served, path: str, **request: Any) -> tuple[list[int], set[str]]:
    """Send the same request twice with the same key; return the statuses and the ids."""
    answers = [served.client.post(path, headers={"Idempotency-Key": path}, **request) for _ in range(2)]
    return [answer.status_code for answer in answers], {str(answer.json().get("id")) for answer in answers}


def test_a_folder_is_found_by_its_key_on_a_full_lane(served: Served, pictures: Path) -> None:
    """The folder is found although its images have changed meanwhile. A new request finds no room."""
    save_scenes(pictures, 4)
    body = {"path": str(pictures)}
    statuses, ids = twice(served, "/v1/folders", json=body)
    assert statuses == [201, 200]
    assert len(ids) == 1
    assert served.client.post("/v1/folders", files={"files": ("a.png", b"x")}).status_code == 429


def test_a_list_is_found_by_its_key_on_a_full_lane(served: Served) -> None:
    """A list that does not fit is refused as a whole."""
    answers = [served.client.post("/v1/jobs", json=[HELLO] * 4, headers={"Idempotency-Key": "list"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["data"] == answers[1].json()["data"]
    assert served.client.post("/v1/jobs", json=[HELLO]).status_code == 429
    assert served.client.post("/v1/jobs", json=[HELLO] * 5).status_code == 400


def test_a_folder_is_retried_once(served: Served, pictures: Path) -> None:
    """The retry is found by its key on a full lane. Without a key it is refused while the first retry writes the same files."""
    save_scenes(pictures, 2)
    folder = served.client.post("/v1/folders", json={"path": str(pictures)}).json()
    address = f"/v1/folders/{folder['id']}/retry"
    (job, _) = served.client.get("/v1/jobs", params={"batch": folder["id"]}).json()["data"]
    assert served.client.delete(f"/v1/folders/{folder['id']}").json()["counts"]["cancelled"] == 2
    assert served.client.post(address, headers={"Idempotency-Key": address}).json()["counts"]["queued"] == 2
    for again in (address, f"/v1/jobs/{job['id']}/retry"):
        refused = served.client.post(again)
        assert refused.status_code == 409, refused.text
        assert "Open jobs exist already" in refused.json()["error"]["message"]
    served.client.post("/v1/jobs", json=[HELLO] * 2)
    assert served.client.post("/v1/jobs", json=HELLO).status_code == 429
    statuses, ids = twice(served, address)
    assert statuses == [200, 200]
    assert len(ids) == 1


@pytest.mark.thorough
def test_a_large_folder_is_retried_in_chunks(settings: Settings) -> None:
    """Every cancelled image is retried once, with its name."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for number in range(2 * JOBS_A_TRANSACTION + 1):
            opened.writestr(f"{number}.png", b"not looked at yet")
    with serving(settings, "--no-worker", ready=False) as served:
        folder = served.client.post("/v1/folders", files={"files": ("a.zip", archive.getvalue())}).json()
        served.client.delete(f"/v1/folders/{folder['id']}")
        statuses, ids = twice(served, f"/v1/folders/{folder['id']}/retry")
        assert statuses == [201, 200]
        (again,) = ids
        assert served.client.delete(f"/v1/folders/{again}").json()["counts"]["cancelled"] == 2 * JOBS_A_TRANSACTION + 1
        lines = served.client.get(f"/v1/folders/{again}/results").text.splitlines()
    assert sorted(json.loads(line)["source"] for line in lines) == sorted(
        f"{n}.png" for n in range(2 * JOBS_A_TRANSACTION + 1)
    )


def test_the_detail_of_an_image_reaches_its_job(served: Served) -> None:
    """The worker scales the image by its detail."""
    image = {"url": data_uri(png(draw(0))), "detail": "low"}
    content = [{"type": "image_url", "image_url": image}, {"type": "text", "text": "What is this?"}]
    body = {"model": "demo", "messages": [{"role": "user", "content": content}]}
    job = served.client.post("/v1/jobs", json=body).json()
    store = Store(served.captionq.settings)
    (asked,) = store.job(job["id"]).parsed_request().images
    store.close()
    assert asked.detail == "low"


def test_zips_of_one_upload_are_counted_together(served: Served) -> None:
    """Two zips of two images are four images."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name in ("a.png", "b.png"):
            opened.writestr(name, png(draw(0)))
    zips = [("files", (f"{number}.zip", archive.getvalue())) for number in range(2)]
    refused = served.client.post("/v1/folders", files=zips)
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "upload_too_large"
    assert served.client.post("/v1/folders", files=[zips[0], ("files", ("c.png", png(draw(0))))]).status_code == 201


def test_a_folder_whose_maker_died_ends(settings: Settings) -> None:
    """The next API ends the folder, and its event stream."""
    long_ago = time.time() - ABANDONED_AFTER - 1
    dead = Batch(description="x", kind=BatchKind.FOLDER, model="demo", complete=False, created_at=long_ago)
    store = Store(settings)
    store.add_batch(dead)
    store.add([Job(model="demo", request="{}", digest="x", batch_id=dead.id, created_at=long_ago)])
    store.close()
    with serving(settings, "--no-worker", ready=False) as served:
        with served.client.stream("GET", f"/v1/folders/{dead.id}/events") as response:
            last = list(events_of(response.iter_lines()))[-1]
        assert last["event"] == "result"
        assert last["data"]["counts"]["cancelled"] == 1
