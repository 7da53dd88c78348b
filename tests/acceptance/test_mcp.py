"""`captionq mcp` as a program starts it, asked by the SDK's own client, with the real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from jobs.configuration.settings import Settings
from tests.support.known_models import know_built_in_models
from tests.support.processes import SCRIPT, Captionq, ended
from tests.support.scenes import draw

if TYPE_CHECKING:
    from mcp.types import CallToolResult


def structured(result: CallToolResult) -> dict[str, Any]:
    """Return the structured content of a call that succeeded."""
    assert not result.is_error, result.content
    assert result.structured_content is not None
    content: dict[str, Any] = result.structured_content
    return content


def refusal(result: CallToolResult) -> str:
    """Return the sentence of a call that failed."""
    assert result.is_error
    return str(result.content[0].text)  # type: ignore[union-attr]


def test_a_client_captions_asks_and_searches(settings: Settings, tmp_path: Path) -> None:
    """Whole pictures of a folder get their known captions, the question its answer, and other folders are closed.

    Standard output carries the protocol only.
    """
    # Most test processes have no use for the SDK: only this test imports it.
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    know_built_in_models(settings)
    folder = tmp_path / "pictures"
    folder.mkdir()
    drawn = {f"scene {seed}.png": draw(seed) for seed in (1, 2)}
    for name, scene in drawn.items():
        scene.image.save(folder / name)
    (folder / "broken.jpg").write_text("no picture")
    (tmp_path / "secret.png").write_bytes((folder / "scene 1.png").read_bytes())
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    question, answer = drawn["scene 1.png"].question()
    captionq = Captionq(settings)
    said = tmp_path / "said"
    command = f'"{SCRIPT}" mcp --allow-root "{folder}" | tee "{said}"'
    server = StdioServerParameters(command="sh", args=["-c", command], env=captionq.environment)

    async def talk() -> None:
        with (tmp_path / "errors").open("w") as errors:
            async with Client(stdio_client(server, errlog=errors)) as client:
                tools = (await client.list_tools()).tools
                assert [tool.name for tool in tools] == ["caption", "ask", "search_captions", "batch_status"]
                captioned = structured(await client.call_tool("caption", {"paths": [str(folder)]}))
                found = {Path(one["path"]).name: one for one in captioned["captions"]}
                assert {name: found[name]["caption"] for name in drawn} == {
                    name: scene.caption for name, scene in drawn.items()
                }
                assert "is not a supported image" in found["broken.jpg"]["error"]
                assert captioned["images"] == 4
                assert found["link.png"]["caption"] is None
                asked = {"images": [str(folder / "scene 1.png")], "question": question}
                assert structured(await client.call_tool("ask", asked))["answer"] == answer
                status = structured(await client.call_tool("batch_status", {"batch_id": captioned["batch_id"]}))
                assert status["batches"][0]["counts"]["succeeded"] == 2
                assert status["batches"][0]["done"]
                words = {"words": drawn["scene 2.png"].caption.split()[2], "limit": 5}
                assert structured(await client.call_tool("search_captions", words))["captions"]
                for path in (tmp_path / "secret.png", folder / "link.png", tmp_path / "nowhere.png"):
                    refused = await client.call_tool("ask", {"images": [str(path)], "question": "What is it?"})
                    assert "is not below a served folder" in refusal(refused)

    try:
        anyio.run(talk)
    finally:
        ended(captionq.start("stop"))
        captionq.kill_all()
    lines = said.read_text().splitlines()
    assert len(lines) > 8
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in lines)
    assert not list(folder.glob("*.txt"))
