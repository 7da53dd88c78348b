"""Message batches by Anthropic's own client, unmodified."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.test_anthropic import HELLO, about, image
from tests.support.processes import PATIENCE
from tests.support.scenes import Drawn
from tests.support.serving import Served

if TYPE_CHECKING:
    import anthropic
    from anthropic.types.messages import MessageBatch

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def client(served: Served) -> Iterator[anthropic.Anthropic]:
    """Anthropic's client."""
    import anthropic

    with anthropic.Anthropic(base_url=served.url, api_key="any", max_retries=0) as client:
        yield client


def asked(custom_id: str, **params: Any) -> Any:
    """Return a request of a batch."""
    return {"custom_id": custom_id, "params": {"model": "demo-text", "max_tokens": 5, "messages": HELLO, **params}}


def ended(client: anthropic.Anthropic, batch: MessageBatch) -> MessageBatch:
    """Wait for the end of a batch."""
    deadline = time.monotonic() + PATIENCE
    while (batch := client.messages.batches.retrieve(batch.id)).processing_status != "ended":
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)
    return batch


def counts(batch: MessageBatch) -> dict[str, int]:
    """Return the counts that are not zero."""
    return {name: number for name, number in batch.request_counts.model_dump().items() if number}


def test_a_batch_from_its_creation_to_its_end(client: anthropic.Anthropic, served: Served, drawn: Drawn) -> None:
    """Requests to two models, two that cannot be served, results in Anthropic's shapes, the list and the deletion."""
    import anthropic

    batches = client.messages.batches
    odd_id = "é\u2028 photo 1.jpg"
    made = batches.create(
        requests=[
            asked(odd_id, model="demo", max_tokens=100, messages=about(image(drawn))),
            asked("hot", temperature=7),
            asked("text"),
            asked("unknown", model="nothing"),
        ]
    )
    assert made.id.startswith("msgbatch_")
    assert (made.type, made.processing_status, counts(made)) == ("message_batch", "in_progress", {"processing": 4})
    assert made.expires_at - made.created_at == timedelta(hours=24)
    done = ended(client, made)
    assert counts(done) == {"succeeded": 2, "errored": 2}
    assert done.results_url == f"{served.url}/v1/messages/batches/{made.id}/results"
    assert done.ended_at is not None
    assert made.created_at < done.ended_at
    assert (done.cancel_initiated_at, done.archived_at) == (None, None)
    results: list[Any] = list(batches.results(made.id))
    assert [one.custom_id for one in results] == [odd_id, "hot", "text", "unknown"]
    assert [one.result.type for one in results] == ["succeeded", "errored", "succeeded", "errored"]
    caption = results[0].result.message
    assert (caption.type, caption.content[0].text, caption.stop_reason) == ("message", drawn.caption, "end_turn")
    assert results[2].result.message.usage.output_tokens == 5
    for number, flaw in ((1, {"temperature": 7}), (3, {"model": "nothing"})):
        refused = served.client.post("/v1/messages", json=asked("", **flaw)["params"])
        assert results[number].result.error.model_dump(exclude_none=True) == refused.json()
    with pytest.raises(anthropic.BadRequestError, match="has ended"):
        batches.cancel(made.id)
    # The rows are those of OpenAI's batches, and neither dialect sees the other's.
    row_id = made.id.removeprefix("msg")
    assert served.client.post(f"/v1/batches/{row_id}/cancel").status_code == 404
    second, third = (batches.create(requests=[asked("a")]) for _ in range(2))
    newest = batches.list(limit=2)
    assert ([one.id for one in newest.data], newest.has_more) == ([third.id, second.id], True)
    assert [one.id for one in batches.list(limit=2)][:3] == [third.id, second.id, made.id]
    ahead = batches.list(limit=1, before_id=made.id)
    assert ([one.id for one in ahead.data], ahead.has_more) == ([second.id], True)
    deleted = batches.delete(made.id)
    assert (deleted.id, deleted.type) == (made.id, "message_batch_deleted")
    with pytest.raises(anthropic.NotFoundError, match=f"'{made.id}' does not exist. GET /v1/messages/batches"):
        batches.retrieve(made.id)


def test_a_cancelled_batch_keeps_its_answers(client: anthropic.Anthropic, served: Served) -> None:
    """Until its end it has no results and cannot be deleted; then each request has one."""
    import anthropic

    batches = client.messages.batches
    # Random answers: none of these is answered by another one's.
    many = [asked(str(number), max_tokens=2000, temperature=1.5) for number in range(300)]
    made = batches.create(requests=many)
    assert served.client.get(f"/v1/messages/batches/{made.id}/results").status_code == 404
    with pytest.raises(anthropic.BadRequestError, match="Cancel it first"):
        batches.delete(made.id)
    cancelling = batches.cancel(made.id)
    assert cancelling.processing_status in ("canceling", "ended")
    assert cancelling.cancel_initiated_at is not None
    done = ended(client, made)
    found = counts(done)
    assert found["canceled"] > 0
    assert sum(found.values()) == 300
    kinds = [one.result.type for one in batches.results(made.id)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == found
    assert batches.cancel(made.id).processing_status == "ended"


def test_flaws_of_the_requests_are_refused_at_once(client: anthropic.Anthropic) -> None:
    """The message names the request and the field."""
    import anthropic

    flaws: tuple[tuple[list[Any], str], ...] = (
        ([], "requests: List should have at least 1 item"),
        ([asked("a"), asked("a")], r"requests\.1\.custom_id: an earlier request has this custom_id"),
        ([asked("a"), asked("b", stream=True)], r"requests\.1\.params\.stream: .*cannot be streamed"),
        ([asked("")], r"requests\.0\.custom_id: "),
        ([{"custom_id": "a"}], r"requests\.0\.params: "),
    )
    for requests, words in flaws:
        with pytest.raises(anthropic.BadRequestError, match=words):
            client.messages.batches.create(requests=requests)
