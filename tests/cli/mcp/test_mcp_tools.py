"""The tools of `captionq mcp` without a worker: what a client may name, and what it is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import captionq
from cli.mcp.served_files import ServedFiles
from cli.mcp.tools import CaptionTools
from jobs.configuration.settings import Settings
from jobs.errors import ImageForbiddenError, ImageNotFoundError, InvalidRequestError
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.rows import RESULT, add_batch

if TYPE_CHECKING:
    from mcp.types import CallToolResult


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A served folder with one picture, beside a folder that is not served."""
    for name in ("served", "secret"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "a.png")
    return tmp_path / "served"


@pytest.fixture
def tools(settings: Settings, store: Store, folder: Path) -> Iterator[CaptionTools]:
    """The tools of the served folder."""
    tools = CaptionTools(settings, ServedFiles([folder]), store)
    yield tools
    tools.close()


def call(tools: CaptionTools, name: str, **arguments: Any) -> CallToolResult:
    """Call a tool through the SDK's client, in this process."""
    # Most test processes have no use for the SDK.
    from mcp.client.client import Client

    from cli.mcp.server import make_server

    async def talk() -> CallToolResult:
        async with Client(make_server(tools)) as client:
            return await client.call_tool(name, arguments)

    return anyio.run(talk)


def test_only_served_folders_can_be_named(folder: Path) -> None:
    """Links and dots are resolved; what is elsewhere is refused in the same words whether it exists or not."""
    files = ServedFiles([folder])
    secret = folder.parent / "secret"
    (folder / "link").symlink_to(secret)
    assert files.find(str(folder / "a.png")) == folder / "a.png"
    for path in (
        secret / "a.png",
        folder / "link/a.png",
        folder / "../secret/a.png",
        Path("/nowhere"),
        Path("/etc/passwd"),
    ):
        with pytest.raises(ImageForbiddenError, match="is not below a served folder"):
            files.find(str(path))
    with pytest.raises(ImageForbiddenError):
        files.find("/a\x00b")
    with pytest.raises(ImageNotFoundError):
        files.find(str(folder / "b.png"))
    with pytest.raises(InvalidRequestError, match="is not absolute"):
        files.find("a.png")
    assert files.images([str(folder)], recursive=True) == [folder / "a.png"]


def test_faults_are_told_to_the_client_s_model(
    tools: CaptionTools, folder: Path, settings: Settings, store: Store
) -> None:
    """One sentence, with the way out; nothing is queued."""
    for name, arguments, reason in (
        ("ask", {"images": [str(folder)], "question": "What?"}, "is a folder"),
        ("ask", {"images": [str(folder / "a.png")] * 33, "question": "What?"}, "Name 1 to 32 pictures"),
        ("caption", {"paths": [str(folder)], "preset": "nothing"}, "nothing"),
        ("caption", {"paths": []}, "at least 1 item"),
        ("batch_status", {"batch_id": "batch_nowhere"}, "batch_nowhere"),
    ):
        refused = call(tools, name, **arguments)
        assert refused.is_error
        assert reason in refused.content[0].text  # type: ignore[union-attr]
    text_only = settings.model_copy(update={"model": "demo-text"})
    missing = settings.model_copy(update={"model": "somebody/missing"})
    for one, reason in ((text_only, "text-only"), (missing, "captionq models pull somebody/missing")):
        other = CaptionTools(one, ServedFiles([folder]), store)
        refused = call(other, "ask", images=[str(folder / "a.png")], question="What?")
        assert reason in refused.content[0].text  # type: ignore[union-attr]
    assert sum(store.counts().values()) == 0


def test_a_search_shows_served_pictures_only(tools: CaptionTools, folder: Path, store: Store) -> None:
    """Captions of other folders stay unseen, and a limit is told."""
    _, jobs = add_batch(store, 3)
    store.claim([job.id for job in jobs], "worker")
    for job in jobs:
        store.succeed(job.id, RESULT)
    assert call(tools, "search_captions", words="red circle").structured_content == {"captions": [], "more": False}
    everywhere = CaptionTools(tools._settings, ServedFiles([Path("/pictures")]), store)
    found = call(everywhere, "search_captions", words="red circle", limit=2).structured_content
    assert found is not None
    assert found["more"]
    assert [one["caption"] for one in found["captions"]] == [RESULT.text] * 2
    assert call(everywhere, "search_captions", words="blue").structured_content == {"captions": [], "more": False}
    assert call(everywhere, "search_captions", words="***").structured_content == {"captions": [], "more": False}


def test_batches_are_counted(tools: CaptionTools, store: Store) -> None:
    """Failed pictures of other folders are counted, and not named."""
    batch, _ = add_batch(store, 2, JobStatus.FAILED)
    (status,) = tools.status(batch.id).batches
    assert (status.counts["failed"], status.done, status.failed) == (2, True, [])
    assert [one.batch_id for one in tools.status(None).batches] == [batch.id]
    everywhere = CaptionTools(tools._settings, ServedFiles([Path("/pictures")]), store)
    assert len(everywhere.status(batch.id).batches[0].failed) == 2


def test_the_command_wants_a_folder_and_the_extra(
    run: CliRunner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both refusals name the way out."""
    assert "captionq mcp --allow-root ~/Pictures" in run.invoke(captionq, ["mcp"]).stderr
    for name in [name for name in sys.modules if name == "cli.mcp.server" or name.split(".")[0] == "mcp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    refused = run.invoke(captionq, ["mcp", "--allow-root", str(folder)])
    assert refused.exit_code == 1
    assert "pip install 'captionq[mcp]'" in refused.stderr
