"""Files and batches through the unmodified OpenAI client, against a real `captionq serve`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from jobs.configuration.settings import Settings
from tests.acceptance.test_chat import png
from tests.acceptance.test_jobs import message_about, receiving
from tests.support.openai_batches import CHAT, ended, line, results, submit, upload
from tests.support.processes import DATA_FOLDER, until
from tests.support.scenes import draw_many
from tests.support.serving import Served, about, data_uri, endless, events_of, hello, serving
from tests.support.webhooks import SECRET

if TYPE_CHECKING:
    import openai

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("batches") / DATA_FOLDER)
    settings.make_folders()
    with serving(settings, CAPTIONQ_WEBHOOK_SECRET=SECRET, CAPTIONQ_ALLOWED_NETWORKS='["127.0.0.0/8"]') as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[openai.OpenAI]:
    """OpenAI's client, as a program uses it."""
    import openai

    http = httpx2.Client(trust_env=False)
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", http_client=http) as client:
        yield client


def test_a_batch_from_upload_to_download(client: openai.OpenAI) -> None:
    """Pictures as data: addresses and as file_id, texts and a request that cannot be served, in the shapes of OpenAI's client."""
    import openai

    scenes = draw_many(3)
    stored = client.files.create(file=("scene.png", png(scenes[2])), purpose="vision")
    by_id = hello(
        model="demo",
        max_tokens=64,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"file_id": stored.id}},
                    {"type": "text", "text": "Describe this image."},
                ],
            }
        ],
    )
    odd_id = "é\u2028 \u0000" + "x" * 500
    batch = submit(
        client,
        line("first", about(data_uri(png(scenes[0])))),
        line(odd_id, about(data_uri(png(scenes[1])))),
        line("bad", hello(model="demo", temperature=7)),
        line("by id", by_id),
        metadata={"project": "tests"},
    )
    assert (batch.status, batch.completion_window, batch.metadata) == ("validating", "24h", {"project": "tests"})
    done = ended(client, batch)
    assert done.status == "completed", done
    assert done.request_counts is not None
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (4, 3, 1)
    answers = results(client, done.output_file_id)
    assert [one["custom_id"] for one in answers] == ["first", odd_id, "by id"]
    assert [one["response"]["body"]["choices"][0]["message"]["content"] for one in answers] == [
        scene.caption for scene in scenes
    ]
    assert {(one["response"]["status_code"], one["error"]) for one in answers} == {(200, None)}
    assert done.usage is not None
    usages = [one["response"]["body"]["usage"] for one in answers]
    assert done.usage.total_tokens == sum(usage["total_tokens"] for usage in usages)
    (bad,) = results(client, done.error_file_id)
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("bad", 400)
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**hello_without_cache(temperature=7))
    assert bad["response"]["body"]["error"] == refused.value.body
    times = [done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at]
    assert times == sorted(time for time in times if time is not None)
    file = client.files.retrieve(done.output_file_id or "")
    assert (file.purpose, file.bytes) == ("batch_output", len(client.files.content(file.id).content))


def test_lines_may_ask_for_responses(client: openai.OpenAI) -> None:
    """Their answers are OpenAI's responses, and a bad line has the error of the endpoint itself."""
    (scene,) = draw_many(1)
    content = [{"type": "input_text", "text": "Describe this image."}]
    content.append({"type": "input_image", "image_url": data_uri(png(scene))})
    body = {"model": "demo", "input": [{"role": "user", "content": content}], "max_output_tokens": 64}
    path = "/v1/responses"
    lines = [line("good", body, url=path), line("bad", {"model": "demo", "input": "Hi", "temperature": 7}, url=path)]
    done = ended(client, submit(client, *lines, endpoint=path))
    assert done.status == "completed", done
    (answer,) = results(client, done.output_file_id)
    response = answer["response"]["body"]
    assert (response["object"], response["status"]) == ("response", "completed")
    assert response["output"][0]["content"][0]["text"] == scene.caption
    (bad,) = results(client, done.error_file_id)
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("bad", 400)
    assert bad["response"]["body"]["error"]["param"] == "temperature"


def hello_without_cache(**more: Any) -> dict[str, Any]:
    """Return the body of a fast request for the client's own method."""
    body = hello(**more)
    return {name: value for name, value in body.items() if name != "cache"}


def test_a_file_that_is_not_valid_fails_with_line_numbers(client: openai.OpenAI) -> None:
    """OpenAI's client reads the flaws; a repeated custom_id and a stream are two of them."""
    lines = [line("a", hello()), line("a", hello()), line("b", hello(stream=True)), "nonsense"]
    failed = ended(client, submit(client, *lines))
    assert failed.status == "failed"
    assert failed.errors is not None
    assert [(flaw.code, flaw.line, flaw.param) for flaw in failed.errors.data or []] == [
        ("duplicate_custom_id", 2, "custom_id"),
        ("unsupported_parameter", 3, "body.stream"),
        ("invalid_json_line", 4, None),
    ]
    assert (failed.output_file_id, failed.error_file_id) == (None, None)
    empty = ended(client, submit(client))
    assert empty.errors is not None
    assert [flaw.code for flaw in empty.errors.data or []] == ["empty_file"]


def test_a_batch_that_was_answered_before_costs_nothing(served: Served, client: openai.OpenAI) -> None:
    """Lines that ask the same share one generation, and a repeated file is answered by the cache, with the same usage."""
    body = hello(cache=True, messages=[{"role": "user", "content": "Hello, twice over!"}])
    first = ended(client, submit(client, line("a", body), line("b", body)))
    cached = [one["response"]["body"].get("cached", False) for one in results(client, first.output_file_id)]
    assert sorted(cached) == [False, True]
    again = ended(client, submit(client, line("c", body)))
    (answer,) = results(client, again.output_file_id)
    usage = answer["response"]["body"]["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"]
    assert again.usage is not None
    assert again.usage.input_tokens_details.cached_tokens == again.usage.input_tokens == usage["prompt_tokens"]
    picture = {"type": "image_url", "image_url": {"file_id": again.output_file_id}}
    refused = served.client.post(CHAT, json=hello(model="demo", messages=[{"role": "user", "content": [picture]}]))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_image_url")
    seconds = served.client.get(f"/v1/jobs/{answer['response']['request_id']}").json()["seconds"]
    assert (seconds["prefill"], seconds["decode"]) == (0, 0)


def test_a_cancelled_batch_keeps_its_answers(served: Served, client: openai.OpenAI) -> None:
    """They can be downloaded while it runs. The receiver of its webhook can read the message with OpenAI's client."""
    import openai

    with receiving() as (url, messages):
        batch = submit(client, line("short", hello()), line("endless", endless()), extra_body={"webhook": url})
        until(lambda: client.batches.retrieve(batch.id).output_file_id is not None, "the first answer")
        running = client.batches.retrieve(batch.id)
        assert running.status == "in_progress"
        assert [one["custom_id"] for one in results(client, running.output_file_id)] == ["short"]
        file = client.files.retrieve(running.output_file_id or "")
        assert file.bytes == len(client.files.content(file.id).content)
        assert client.batches.cancel(batch.id).status == "cancelling"
        cancelled = ended(client, batch)
        headers, body = message_about(batch.id, messages)
    assert (cancelled.status, cancelled.output_file_id) == ("cancelled", running.output_file_id)
    (error,) = results(client, cancelled.error_file_id)
    assert (error["custom_id"], error["response"], error["error"]["code"]) == ("endless", None, "batch_cancelled")
    event = client.webhooks.unwrap(body, headers, secret=SECRET)
    assert event.type == "batch.cancelled"
    assert event.data.id == batch.id
    with pytest.raises(openai.ConflictError):
        client.with_options(max_retries=0).batches.cancel(ended(client, submit(client, line("a", hello()))).id)


def test_a_batch_is_followed_by_events(served: Served, client: openai.OpenAI) -> None:
    """Each answered line is an event, as it stands in the files; the last event is the whole batch."""
    batch = submit(client, line("a", hello()), line("b", hello()))
    with served.client.stream("GET", f"/v1/batches/{batch.id}/events") as response:
        events = list(events_of(response.iter_lines()))
    lines = [event["data"] for event in events if event["event"] == "line"]
    done = client.batches.retrieve(batch.id)
    assert sorted(lines, key=lambda one: one["custom_id"]) == results(client, done.output_file_id)
    assert (events[-1]["event"], events[-1]["id"]) == ("result", "end")
    assert events[-1]["data"] == served.client.get(f"/v1/batches/{batch.id}").json()
    after = {"Last-Event-ID": "1"}
    with served.client.stream("GET", f"/v1/batches/{batch.id}/events", headers=after) as response:
        rest = [event for event in events_of(response.iter_lines()) if event["event"] == "line"]
    assert [event["id"] for event in rest] == ["2"]


def test_batches_are_listed_page_by_page(client: openai.OpenAI) -> None:
    """The client's own pages lead through all of them, newest first. A repeated creation makes no second one."""
    key = {"Idempotency-Key": "the same"}
    file = upload(client, line("a", hello()))
    made = [
        client.batches.create(
            input_file_id=file, endpoint="/v1/chat/completions", completion_window="24h", extra_headers=key
        )
        for _ in range(2)
    ]
    assert made[0].id == made[1].id
    more = [submit(client, line("a", hello())) for _ in range(2)]
    listed = [batch.id for batch in client.batches.list(limit=2)]
    assert listed[:3] == [more[1].id, more[0].id, made[0].id]
    assert sorted(listed, reverse=True) == listed


def test_files_have_purposes_and_expire(served: Served, client: openai.OpenAI) -> None:
    """Files of requests expire after a month unless the client says otherwise; other files stay."""
    import openai

    lines = ("requests.jsonl", b"{}\n")
    month = client.files.create(file=lines, purpose="batch")
    hour = client.files.create(file=lines, purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600})
    data = client.files.create(file=("any.bin", b"\0" * 10), purpose="user_data")
    kept = [file.expires_at and file.expires_at - file.created_at for file in (month, hour, data)]
    assert [kept[0], kept[1], kept[2]] == [2_592_000, 3600, None]
    assert [file.id for file in client.files.list(purpose="batch", limit=2, order="desc")][:2] == [hour.id, month.id]
    assert client.files.content(month.id).content == b"{}\n"
    assert client.files.delete(month.id).deleted
    for wrong in ({"input_file_id": data.id}, {"input_file_id": hour.id, "endpoint": "/v1/embeddings"}):
        with pytest.raises(openai.BadRequestError):
            client.batches.create(**{"endpoint": "/v1/chat/completions", "completion_window": "24h", **wrong})
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id=month.id, endpoint="/v1/chat/completions", completion_window="24h")
