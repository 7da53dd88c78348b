"""`captionq batch`: a file of requests, answered here and by a server."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from jobs.configuration.settings import Settings
from tests.support.processes import Captionq, until
from tests.support.scenes import save_scenes
from tests.support.serving import data_uri, serving


def line(custom_id: str, url: str, **body: Any) -> dict[str, Any]:
    """Return a request about an image."""
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Describe this image."}]
    body = {"model": "demo", "messages": [{"role": "user", "content": content}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    """Write a file of requests."""
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))


def answers(path: Path) -> dict[str, str]:
    """Return the answer of each line; no line may stand twice."""
    results = [json.loads(one) for one in path.read_bytes().splitlines()]
    found = {one["custom_id"]: one["response"]["body"]["choices"][0]["message"]["content"] for one in results}
    assert len(found) == len(results)
    return found


def test_a_killed_run_goes_on_where_it_was(captionq: Captionq, tmp_path: Path) -> None:
    """kill −9 in the middle: the second run adds the rest, and no line has the answer of another. A bad line fails alone."""
    captions = save_scenes(tmp_path / "pictures", 24)
    expected = {f"ü {path.name}": caption for path, caption in captions.items()}
    lines = [line(f"ü {path.name}", path.as_uri()) for path in captions]
    bad = line("bad", (tmp_path / "none.png").as_uri())
    write_lines(tmp_path / "in.jsonl", [*lines[:5], bad, *lines[5:]])
    output, errors = tmp_path / "out.jsonl", tmp_path / "out.errors.jsonl"
    command = ("batch", "run", "-i", tmp_path / "in.jsonl", "-o", output, "--model", "demo")
    first = captionq.start(*command)
    until(lambda: output.exists() and output.stat().st_size > 0, "the first answers")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    before = output.read_bytes()
    second = captionq.run(*command)
    assert second.returncode == 1, second.stderr
    assert "1 failed" in second.stderr
    assert output.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    assert answers(output) == expected
    (failure,) = [json.loads(one) for one in errors.read_bytes().splitlines()]
    assert failure["custom_id"] == "bad"
    assert failure["response"]["body"]["error"]["code"] == "image_file_not_found"


def test_a_file_with_flaws_is_not_begun(settings: Settings, tmp_path: Path) -> None:
    """Every flaw is named by its line, and no output is made."""
    twice = line("a", "file:///x.png")
    write_lines(tmp_path / "in.jsonl", [twice, twice, {**twice, "custom_id": "b", "method": "GET"}])
    done = Captionq(settings).run("batch", "run", "-i", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl")
    assert done.returncode == 1
    second, third, error = done.stderr.splitlines()
    assert second.startswith("  line 2: The custom_id 'a' stands on an earlier line too")
    assert third.startswith("  line 3: The method must be POST")
    assert error == f"Error: {tmp_path / 'in.jsonl'} is not a valid batch. Mend these lines, and run the command again."
    assert not (tmp_path / "out.jsonl").exists()


def test_a_server_answers_a_file(settings: Settings, tmp_path: Path) -> None:
    """Submitted, watched, fetched and cancelled by the command."""
    captions = save_scenes(tmp_path / "pictures", 6)
    write_lines(tmp_path / "in.jsonl", [line(path.name, data_uri(path)) for path in captions])
    with serving(settings) as served:
        captionq = served.captionq
        captionq.environment["CAPTIONQ_URL"] = served.url
        made = captionq.run("batch", "submit", tmp_path / "in.jsonl")
        assert made.returncode == 0, made.stderr
        batch_id = made.stdout.strip()

        # Each look by the command would start a process.
        until(lambda: served.client.get(f"/v1/batches/{batch_id}").json()["status"] == "completed", "the batch's end")
        shown = captionq.run("batch", "status", batch_id, "--format", "json")
        assert json.loads(shown.stdout)["status"] == "completed"
        table = captionq.run("batch", "status").stdout
        assert batch_id in table
        fetched = captionq.run("batch", "fetch", "last", "-o", tmp_path / "out.jsonl")
        assert fetched.returncode == 0, fetched.stderr
        assert answers(tmp_path / "out.jsonl") == {path.name: caption for path, caption in captions.items()}
        unknown = captionq.run("batch", "cancel", "batch_none")
        assert unknown.returncode == 1
        assert "batch_none" in unknown.stderr
    away = captionq.run("batch", "status")
    assert away.returncode == 1
    assert "Start one with: captionq serve" in away.stderr
