"""The answer of `/api/pull` while a worker downloads the model: Ollama's lines of progress, or one object at the end."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

from fastapi import Request, Response

from api.dialects.ollama.answers import NDJSON, line
from api.errors.body import detail_of
from api.errors.forms import ollama_error
from api.runtime.resources import Resources
from api.streaming.client_departure import unless_client_leaves
from api.streaming.download_follower import follow_download
from api.streaming.sse import MessageStream
from jobs.queue.downloads.records import Download

BEGIN: dict[str, Any] = {"status": "pulling manifest"}
SUCCESS: dict[str, Any] = {"status": "success"}


async def pulled(download: Download, resources: Resources, request: Request, *, stream: bool) -> Response:
    """Return the answer to a client that waits for a download. The download goes on without the client.

    Raises TooManyStreamsError, and without a stream the download's error.
    """
    slot = ExitStack()
    slot.enter_context(resources.hub.stream_slot())

    async def at_end() -> None:
        slot.close()

    if stream:
        return MessageStream(
            _lines(download, resources),
            media_type=NDJSON,
            failure=lambda error: line(ollama_error(detail_of(error))),
            at_end=at_end,
        )
    with slot:
        await unless_client_leaves(request, _end_of(download, resources))
    return Response(line(SUCCESS), media_type="application/json")


async def _end_of(download: Download, resources: Resources) -> None:
    async for _ in follow_download(download, resources):
        pass


async def _lines(download: Download, resources: Resources) -> AsyncIterator[bytes]:
    yield line(BEGIN)
    # Ollama's own program shows a part of it, and expects the length of a hash.
    digest = f"sha256:{hashlib.sha256(download.model.encode()).hexdigest()}"
    async for state in follow_download(download, resources):
        if state.total is not None:
            progress = {"digest": digest, "total": state.total, "completed": state.done}
            yield line({"status": f"pulling {download.model}", **progress})
    yield line(SUCCESS)
