"""SIGKILL before every operation on a file and every commit, one after the other, of deliveries and undos.

Each file is as before or as after, the next attempt ends the work, and an undo brings everything back.
`CAPTIONQ_TEST_KILLPOINTS=all` kills at every step; otherwise every fourth is taken.
"""

from __future__ import annotations

import json
import os
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from jobs.configuration.settings import Settings
from jobs.options.delivery import DeliveryOptions
from jobs.store.store import Store
from jobs.store.tables import Job
from tests.support.file_kills import Action, FileKills
from tests.support.outputs import contents, make_run, queue_job, save_picture

pytestmark = pytest.mark.timeout(300)

_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3"/></rdf:RDF></x:xmpmeta>"""
#: The options of a run, and files that are there before it.
RUNS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "append": ({"output": ("txt", "json", "xmp"), "existing": "append"}, {"photo.txt": "by hand\n", "photo.xmp": _XMP}),
    "replace": ({"existing": "replace", "force": True}, {"photo.txt": "by hand\n"}),
    "embed": ({"embed": True}, {}),
}
#: Steps that an action has at most.
MANY = 100
STRIDE = 1 if os.environ.get("CAPTIONQ_TEST_KILLPOINTS") == "all" else 4


def settled(folder: Path) -> dict[str, bytes]:
    """Return the folder's files without temporary ones, which the next sweep removes, and without the seconds in JSON."""
    found = {name: content for name, content in contents(folder).items() if not name.startswith(".captionq-")}
    return {name: _untimed(content) if name.endswith(".json") else content for name, content in found.items()}


def _untimed(content: bytes) -> bytes:
    return json.dumps({name: value for name, value in json.loads(content).items() if name != "seconds"}).encode()


def assert_before_or_after(kills: FileKills, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """Assert that no file is anything else than its old or its new content, and that changed images have a backup."""
    now = settled(kills.folder)
    for name in before.keys() | after.keys() | now.keys():
        assert now.get(name) in (before.get(name), after.get(name)), name
    if now["photo.jpg"] != before["photo.jpg"]:
        assert now["photo.jpg_original"] == before["photo.jpg"]


def sweep(
    kills: FileKills,
    action: Action,
    begin: Path,
    before: dict[str, bytes],
    after: dict[str, bytes],
    stride: int = STRIDE,
) -> int:
    """Kill the action at its steps, one run after the other, and repeat it. Returns the last step at which it was killed."""
    for point in count(1, stride):
        assert point < MANY
        kills.bring_back(begin)
        if not kills.perform(action, point):
            return point - stride
        assert_before_or_after(kills, before, after)
        kills.perform(action)
        end = before if action == "undo" else after
        assert settled(kills.folder) == end, f"after the repeated {action}, killed at {point}"
        if action == "write":
            kills.perform("undo")
            assert settled(kills.folder) == before, f"after the undo, written in spite of a kill at {point}"
    return 0


@pytest.mark.parametrize("kind", RUNS)
def test_a_kill_at_any_step_leaves_each_file_as_before_or_as_after(
    settings: Settings, tmp_path: Path, kind: str
) -> None:
    """Of writing and of taking back."""
    options, files = RUNS[kind]
    if "embed" in options and shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    folder = tmp_path / "pictures"
    folder.mkdir()
    image = save_picture(folder / "photo.jpg")
    for name, text in files.items():
        (folder / name).write_text(text)
    store = Store(settings)
    job: Job = queue_job(store, image, make_run(store), **options)
    store.close()
    assert job.delivery == DeliveryOptions(**options).stored
    kills, written, begin = FileKills(settings, folder), tmp_path / "written", tmp_path / "begin"
    kills.save(begin)
    before = settled(folder)
    kills.perform("write")
    after = settled(folder)
    kills.save(written)
    assert after != before
    # A file's bytes, its name, and the rows around them.
    assert sweep(kills, "write", begin, before, after) >= 5
    assert sweep(kills, "undo", written, before, after) >= 1


def test_a_kill_at_any_step_leaves_tables_as_before_or_as_after(settings: Settings, tmp_path: Path) -> None:
    """Of captions and of answers."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    save_picture(folder / "photo.jpg")
    for name in ("captions.csv", "answers.csv"):
        (folder / name).write_text("the old table\n")
    kills, begin = FileKills(settings, folder), tmp_path / "begin"
    kills.save(begin)
    before = settled(folder)
    kills.perform("tables")
    after = settled(folder)
    assert all(after[name] != before[name] for name in ("captions.csv", "answers.csv"))
    assert sweep(kills, "tables", begin, before, after, stride=1) >= 4
