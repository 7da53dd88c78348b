"""OpenAI's Python client."""

from __future__ import annotations

import json

import openai
from checks import CAPTION, KEY, MODEL, PICTURE, PROMPT, SCHEMA, URL, data_uri, follows_schema, raises, run, same

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
ABOUT = [
    {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": data_uri()}}, {"type": "text", "text": PROMPT}],
    }
]
TOOL = {"type": "function", "function": {"name": "report", "parameters": SCHEMA, "strict": True}}


def plain() -> None:
    """Ask without a picture."""
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Count to five."}])
    same(answer.choices[0].message.content, "one two three four five")


def image() -> None:
    """Ask about a picture, by its bytes and as an uploaded file."""
    same(client.chat.completions.create(model=MODEL, messages=ABOUT).choices[0].message.content)
    file = client.files.create(file=PICTURE, purpose="vision")
    by_id = [{"type": "image_url", "image_url": {"file_id": file.id}}, {"type": "text", "text": PROMPT}]
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": by_id}])
    same(answer.choices[0].message.content)


def stream() -> None:
    """Read the answer as it grows, and its usage."""
    chunks = list(
        client.chat.completions.create(model=MODEL, messages=ABOUT, stream=True, stream_options={"include_usage": True})
    )
    same("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
    assert chunks[-1].usage.completion_tokens > 0


def structured() -> None:
    """Ask for JSON that follows a schema."""
    schema = {"type": "json_schema", "json_schema": {"name": "report", "schema": SCHEMA, "strict": True}}
    answer = client.chat.completions.create(model=MODEL, messages=ABOUT, response_format=schema)
    follows_schema(answer.choices[0].message.content)


def tools() -> None:
    """Ask for a tool call, and give its result back."""
    answer = client.chat.completions.create(model=MODEL, messages=ABOUT, tools=[TOOL], tool_choice="required")
    (call,) = answer.choices[0].message.tool_calls
    same(answer.choices[0].finish_reason, "tool_calls")
    same(call.function.name, "report")
    follows_schema(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"stored": True})}
    messages = [*ABOUT, answer.choices[0].message.model_dump(exclude_none=True), result]
    assert client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL]).choices[0].finish_reason


def responses() -> None:
    """Ask through the Responses API."""
    content = [{"type": "input_text", "text": PROMPT}, {"type": "input_image", "image_url": data_uri()}]
    answer = client.responses.create(model=MODEL, input=[{"role": "user", "content": content}])
    same(answer.output_text)


def batch() -> None:
    """Upload a batch, and read its results."""
    body = {"model": MODEL, "messages": ABOUT}
    lines = [
        {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        for number in range(3)
    ]
    text = "\n".join(map(json.dumps, lines)).encode()
    file = client.files.create(file=("in.jsonl", text), purpose="batch")
    job = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    while job.status not in ("completed", "failed", "expired", "cancelled"):
        job = client.batches.retrieve(job.id)
    same(job.status, "completed")
    results = [json.loads(line) for line in client.files.content(job.output_file_id).text.splitlines()]
    same({result["response"]["body"]["choices"][0]["message"]["content"] for result in results}, {CAPTION})
    same({result["custom_id"] for result in results}, {line["custom_id"] for line in lines})


def errors() -> None:
    """Get the client's own exceptions."""
    ask = client.chat.completions.create
    raises(openai.NotFoundError, lambda: ask(model="nosuchmodel", messages=ABOUT))
    raises(openai.BadRequestError, lambda: ask(model="demo-text", messages=ABOUT), "image")


run(
    plain=plain,
    image=image,
    stream=stream,
    structured=structured,
    tools=tools,
    responses=responses,
    batch=batch,
    errors=errors,
)
