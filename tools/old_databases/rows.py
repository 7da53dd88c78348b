"""Rows as each version of captionq wrote them: jobs in all states, batches, webhooks, files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.requests import Request

Row = Mapping[str, Any]

#: A time in seconds since the epoch, when all of it happened.
_THEN = 1_795_000_000.0
#: The worker that was running a job, as the file `worker.name` of the data folder calls it.
WORKER = "captionq-before"
#: Folder of the pictures, as the rows name it.
PICTURES = "file:///pictures/"
#: Fields that requests have had from a version on. Their digest has always left out fields with defaults.
_SAMPLING: Mapping[str, Row] = {
    "0001": {"max_tokens": 64, "temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "seed": None},
    "0002": {
        "stop": [],
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "logit_bias": {},
        "logprobs": False,
        "top_logprobs": 0,
    },
}
_REQUEST: Mapping[str, Row] = {
    "0002": {"response_format": None},
    "0008": {"cache": True},
    "0013": {
        "max_pixels": None,
        "max_words": None,
        "max_characters": None,
        "near_duplicates": False,
        "frames": 1,
    },
    "0016": {"tools": None},
    "0018": {"thinking": False, "choices": 1},
}
_WORDS = json.dumps([f"word {number}" for number in range(60)], separators=(",", ":"))
_VOCABULARY = hashlib.sha256(_WORDS.encode()).hexdigest()
_TEXT = "A large red circle on a white background."
_ANSWER: Mapping[str, Any] = {
    "text": _TEXT,
    "finish_reason": "stop",
    "prompt_tokens": 40,
    "image_tokens": 16,
    "completion_tokens": 9,
    "queue_seconds": 0.5,
    "preprocess_seconds": 0.01,
    "prefill_seconds": 0.02,
    "decode_seconds": 0.03,
}


def rows_at(version: str) -> Mapping[str, Sequence[Row]]:
    """Return the rows of each table. Tables and columns that the version does not have are to be left out."""
    return {
        "batch": [
            _batch("run", kind="run", maker="/data"),
            _batch("folder", kind="folder", idempotency_key="key of a folder", digest="0123456789abcdef"),
            _batch("lines", kind="file"),
            _batch("compared", kind="list"),
        ],
        "vocabulary": [{"id": _VOCABULARY, "words": _WORDS}],
        "job": _jobs(version),
        "webhook": [
            _webhook("due", batch_id="batch_run", next_attempt_at=_THEN + 5, attempts=1, last_error="It was refused."),
            _webhook("delivered", job_id="job_alone", next_attempt_at=None, attempts=1, delivered_at=_THEN + 3),
        ],
        "stored_file": [
            _file("upload", sha256="ab" * 32, bytes=3, idempotency_key="key of a file"),
            *_results(version),
        ],
        "written_file": [
            {
                "id": "write_1",
                "job_id": "job_done",
                "kind": "txt",
                "path": f"{PICTURES}done.txt",
                "before": b"what was there: \xff",
                "before_sha256": "cd" * 32,
                "after_sha256": hashlib.sha256(_TEXT.encode()).hexdigest(),
                "written_at": _THEN + 2,
            }
        ],
        "file_batch": [
            {
                "id": "batch_lines",
                "dialect": "openai",
                "endpoint": "/v1/chat/completions",
                "input_file_id": "file_upload",
                "input_sha256": "ab" * 32,
                "completion_window": "24h",
                "labels": '{"of": "a client"}',
                "status": "completed",
                "model": "demo-text",
                "total": 1,
                "created_at": _THEN,
                "expires_at": _THEN + 86_400,
                "completed_at": _THEN + 3,
            }
        ],
        "file_line": [
            {"batch_id": "batch_lines", "number": 1, "end_offset": 120, "custom_id": '"a"', "job_id": "job_line"}
        ],
        "response": [{"job_id": "job_alone", "asked": '{"metadata":{}}', "first_message": 0}],
        "comparison": [{"batch_id": "batch_compared", "base_id": "batch_run"}],
        "follow_up": [{"job_id": "job_other_side", "about_id": "job_done", "winner": "first"}],
    }


def _jobs(version: str) -> list[Row]:
    picture, words = _request(version, "demo"), _request(version, "demo-text")
    keywords = _job("of_a_vocabulary", _keywords(version), picture_of="keywords")
    if version >= "0013":
        keywords["request"] = keywords["request"].replace(_WORDS, f'"sha256:{_VOCABULARY}"')
    edited: Row = {
        "quality": "repetition",
        "quality_retries": 2,
        "reviewed_at": _THEN + 9,
        "edited_text": "A red circle.",
    }
    error: Row = {"error_code": "empty_image_file", "error_message": "failed.png is empty."}
    return [
        _job("queued", picture, picture_of="queued"),
        _job("waiting", picture, picture_of="waiting", attempts=1, error_code="model_error", error_message="Later."),
        _job("running", picture, picture_of="running", status="running", worker=WORKER, attempts=1, deaths=1),
        _job("done", picture, picture_of="done", finished_order=1, **_ANSWER, **edited),
        _job("failed", picture, picture_of="failed", status="failed", finished_order=2, **error),
        _job("cancelled", picture, picture_of="cancelled", status="cancelled", finished_order=3),
        keywords,
        _job("in_folder", picture, batch_id="batch_folder", finished_order=1, **_ANSWER),
        _job("line", words, batch_id="batch_lines", model="demo-text", finished_order=1, **_ANSWER),
        _job("other_side", picture, batch_id="batch_compared", finished_order=1, **_ANSWER),
        _job("alone", words, batch_id=None, model="demo-text", lane="interactive", **_ANSWER, idempotency_key="a key"),
        _job("asked", words, batch_id=None, model="demo-text", lane="interactive"),
    ]


def _batch(name: str, **more: object) -> Row:
    return {"id": f"batch_{name}", "description": "/pictures", "model": "demo", "created_at": _THEN, **more}


def _job(name: str, request: str, *, picture_of: str | None = None, **more: Any) -> dict[str, Any]:
    row = {
        "id": f"job_{name}",
        "batch_id": "batch_run",
        "lane": "bulk",
        "status": "succeeded" if "text" in more else "queued",
        "model": "demo",
        "request": request,
        "attempts": int("text" in more),
        "deaths": 0,
        "created_at": _THEN,
        **more,
    }
    if picture_of is not None:
        row |= {"source": f"{PICTURES}{picture_of}.png", "output": f"{PICTURES}{picture_of}.txt"}
        row["request"] = request.replace(f"{PICTURES}a.png", f"{PICTURES}{picture_of}.png")
    row["digest"] = Request.model_validate_json(row["request"]).digest
    if row["status"] in ("succeeded", "failed", "cancelled"):
        row |= {"started_at": _THEN + 1, "finished_at": _THEN + 2}
    return row


def _request(version: str, model: str) -> str:
    parts: object = "Hello"
    if model == "demo":
        image = {"type": "image_url", "image_url": {"url": f"{PICTURES}a.png", "detail": "auto"}}
        parts = [image, {"type": "text", "text": "Describe this image."}]
    request = {
        "model": model,
        "messages": [{"role": "user", "content": parts}],
        "sampling": _since(_SAMPLING, version),
        **_since(_REQUEST, version),
    }
    return json.dumps(request, separators=(",", ":"))


def _keywords(version: str) -> str:
    """Return a request for words of a list."""
    if version < "0008":
        return _request(version, "demo")
    form = f'{{"type":"vocabulary","words":{_WORDS},"max_keywords":3}}'
    return _request(version, "demo").replace('"response_format":null', f'"response_format":{form}')


def _since(fields: Mapping[str, Row], version: str) -> Row:
    return {name: value for since, some in fields.items() if since <= version for name, value in some.items()}


def _webhook(name: str, **more: object) -> Row:
    return {"id": f"msg_{name}", "url": "https://receiver.example/", "created_at": _THEN, **more}


def _file(name: str, **more: object) -> Row:
    return {"id": f"file_{name}", "filename": "a.jsonl", "purpose": "batch", "created_at": _THEN, **more}


def _results(version: str) -> list[Row]:
    if version < "0015":
        return []
    return [_file("results", sha256=None, bytes=200, purpose="batch_output", batch_id="batch_lines", part="output")]
