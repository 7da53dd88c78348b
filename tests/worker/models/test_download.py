"""Models that are downloaded by the real client from a hub on loopback."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest
from redis import Redis

from jobs.configuration.settings import Settings
from jobs.models.model_info import built_in_models
from jobs.queue.events import read
from jobs.queue.lanes import push
from jobs.requests import Message, Request
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus, Lane
from tests.support.adapters import save_adapter
from tests.support.hub import GATED, Traffic, local_hub
from tests.support.processes import Captionq


@pytest.fixture
def captionq(settings: Settings, tmp_path: Path) -> Captionq:
    """captionq with an empty Hugging Face cache of its own."""
    started = Captionq(settings)
    started.environment["HF_HOME"] = str(tmp_path / "huggingface")
    return started


def queue_job(model: str, store: Store, connection: Redis) -> Job:
    """Queue a job that says hello to a model."""
    asked = Request(model=model, messages=[Message(role="user", content="Hello!")], sampling=Sampling(max_tokens=8))
    job = Job(model=model, request=asked.model_dump_json(), digest=asked.digest)
    store.add([job])
    push(connection, Lane.BULK, [job.id])
    return job


def test_a_missing_model_is_downloaded_and_the_job_publishes_the_progress(
    captionq: Captionq, store: Store, connection: Redis
) -> None:
    """The events count the present bytes of all bytes, up to the last one; then the model is loaded and answers."""
    source = built_in_models()["demo"]
    with local_hub({"somebody/small": source}) as hub:
        captionq.environment |= hub
        job = queue_job("somebody/small", store, connection)
        assert captionq.run("work", "--burst").returncode == 0
    assert store.job(job.id).status == JobStatus.SUCCEEDED, store.job(job.id).error_message
    events = read(connection, job.id)
    assert (events[0].name, events[0].data) == ("loading", {"model": "somebody/small", "attempt": 1})
    assert events[-1].name == "loaded"
    assert events[-2].name == "checking"
    progress = [(event.data["bytes"], event.data["total_bytes"]) for event in events[1:-2]]
    assert progress == sorted(progress)
    assert progress[-1][0] == progress[-1][1] > (source / "model.safetensors").stat().st_size


@pytest.mark.parametrize(("model", "why"), [("somebody/nothing", "no model"), (GATED, "licence")])
def test_a_model_that_cannot_be_downloaded_fails_its_jobs_with_the_reason(
    model: str, why: str, captionq: Captionq, store: Store, connection: Redis
) -> None:
    """The worker goes on with other jobs."""
    with local_hub({GATED: built_in_models()["demo-text"]}) as hub:
        captionq.environment |= hub
        job, other = queue_job(model, store, connection), queue_job("demo-text", store, connection)
        assert captionq.run("work", "--burst").returncode == 0
    failed = store.job(job.id)
    assert (failed.status, failed.error_code) == (JobStatus.FAILED, "model_not_found")
    assert why in (failed.error_message or "")
    assert model in (failed.error_message or "")
    assert store.job(other.id).status == JobStatus.SUCCEEDED


def test_a_part_of_a_large_file_is_believed_only_with_its_hash(captionq: Captionq, tmp_path: Path) -> None:
    """A part counts as there. One that is damaged or too long costs a try, and a hub without ranges is asked for all."""
    source, name, piece = tmp_path / "source", "more.safetensors", 10_485_760
    shutil.copytree(built_in_models()["demo-text"], source)
    body = bytes(range(256)) * 90_000
    (source / name).write_bytes(body)
    etag, cache = hashlib.sha256(body).hexdigest(), tmp_path / "huggingface/hub/models--somebody--small"
    part, blob = (cache / "blobs" / f"{etag}{end}" for end in (".captionq.incomplete", ""))
    part.parent.mkdir(parents=True)
    traffic = Traffic()
    with local_hub({"somebody/small": source}, traffic=traffic) as hub:
        captionq.environment |= hub
        part.write_bytes(bytes(piece))
        damaged = captionq.run("models", "pull", "somebody/small")
        assert damaged.stderr.endswith(
            f"Error: 'somebody/small' could not be downloaded: {name} arrived damaged. Try again.\n"
        )
        assert re.search(r"^somebody/small: 12\.\d MB to download of 23\.\d MB$", damaged.stderr, re.MULTILINE)
        assert traffic.sent[name] == len(body) - piece
        assert not part.exists()
        for left in (body[:piece], body + b"more", body[:piece]):
            shutil.rmtree(cache)
            part.parent.mkdir(parents=True)
            part.write_bytes(left)
            pulled = captionq.run("models", "pull", "somebody/small")
            assert pulled.returncode == 0, pulled.stderr
            assert (blob.read_bytes(), part.exists()) == (body, False)
            assert next(cache.rglob(name)).samefile(blob)
            traffic.ignores_ranges = len(left) > len(body)
    asked = [(name, f"bytes={piece}-")] * 2
    assert traffic.ranges == asked
    assert traffic.sent[name] == 2 * (len(body) - piece) + 2 * len(body)


def test_an_adapter_is_downloaded_with_its_model(captionq: Captionq, tmp_path: Path) -> None:
    """`models pull` fetches the parts that are missing; a repository without an adapter is named."""
    lora, source = save_adapter(tmp_path / "lora"), built_in_models()["demo"]
    with local_hub({"somebody/small": source, "somebody/lora": lora}) as hub:
        captionq.environment |= hub
        pulled = captionq.run("models", "pull", "somebody/small+adapter=somebody/lora")
        assert pulled.returncode == 0, pulled.stderr
        assert "is here now" in pulled.stdout
        again = captionq.run("models", "pull", "somebody/small+adapter=somebody/lora")
        assert "is here already" in again.stdout
        wrong = captionq.run("models", "pull", "demo+adapter=somebody/small")
    assert wrong.returncode != 0
    assert "'somebody/small' is not an adapter: it has no adapter_config.json." in wrong.stderr
