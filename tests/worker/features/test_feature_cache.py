"""The feature cache: answers from it are those of the tower, and no file of it can do harm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from PIL import Image

from tests.support.adapters import save_adapter
from tests.support.families import save_model
from tests.support.scenes import draw_many
from tests.worker.engine.test_engine import ask, run
from worker.engine.engine import Engine
from worker.features import feature_files
from worker.features.feature_cache import FeatureCache
from worker.features.model_fingerprint import feature_fingerprint
from worker.models.backends import VisionBackend
from worker.models.loader import load

pytestmark = pytest.mark.filterwarnings("ignore:.*use_fast.*")

#: More than all tests write.
ROOM = 10**9


def files_in(folder: Path) -> list[Path]:
    """Return the complete files of a feature cache."""
    return sorted(file.path for file in feature_files.feature_files(folder))


def answers(
    backend: VisionBackend, images: list[Image.Image], question: str, cache: FeatureCache | None
) -> dict[str, tuple[int, ...]]:
    """Ask a fresh engine about each image; return the ids of the answers. What is in memory is forgotten first."""
    backend.forget()
    if cache is not None:
        backend.keep_features(cache)
    asked = {str(at): backend.prepare(ask(question, max_tokens=12), [image]) for at, image in enumerate(images)}
    ids = {key: outcome.token_ids for key, outcome in run(Engine(backend, slots=4), asked).items()}
    if cache is not None:
        cache.close()
    return ids


@pytest.mark.parametrize("family", ["demo", "qwen3_vl", "smolvlm", pytest.param("gemma3", marks=pytest.mark.thorough)])
def test_a_later_question_skips_the_tower_and_gets_the_same_answer(family: str, tmp_path: Path) -> None:
    """The demo model, deepstack, and a family whose tower is called while it embeds. What is in memory is forgotten."""
    name = family if family == "demo" else str(save_model(family, tmp_path / family))
    images = [scene.image for scene in draw_many(3)]
    backend = VisionBackend(load(name))
    expected = answers(backend, images, "Which colours are there?", None)
    answers(backend, images, "Describe this image.", FeatureCache(tmp_path / "features", ROOM, "model"))
    encoded = backend.images_encoded
    again = FeatureCache(tmp_path / "features", ROOM, "model")
    assert answers(backend, images, "Which colours are there?", again) == expected
    assert backend.images_encoded == encoded
    assert again.counts == {"read": 3, "written": 0, "damaged": 0, "left_out": 0}


def test_other_weights_or_another_adapter_read_nothing(tmp_path: Path) -> None:
    """Also if a file of other weights has the same size and the same time, as in an archive without times."""
    first, second = (save_model("qwen2_vl", tmp_path / str(seed) / "model", seed) for seed in (1, 2))
    for file in [*first.iterdir(), *second.iterdir()]:
        os.utime(file, (1, 1))
    adapter = save_adapter(tmp_path / "adapter")
    prints = {feature_fingerprint(folders, ["cpu"]) for folders in ([first], [second], [first, adapter])}
    prints |= {feature_fingerprint([first], [kind]) for kind in ("cpu", "gpu")}
    assert len(prints) == 4


@pytest.mark.parametrize(
    "damage", ["another image's", "truncated", "empty", "one bit", "other bytes", "huge header", "a folder"]
)
def test_a_damaged_file_is_a_miss_and_is_counted_and_removed(damage: str, tmp_path: Path) -> None:
    """The image is computed again, and its file is then whole."""
    cache = FeatureCache(tmp_path, ROOM, "model")
    kept = (mx.arange(6000, dtype=mx.float32), [mx.ones((2, 3), mx.bfloat16), None])
    cache.put(b"image", kept)
    cache.close()
    (path,) = files_in(tmp_path)
    content = path.read_bytes()
    damaged = {
        "truncated": content[:-4000],
        "empty": b"",
        "one bit": content[:-2000] + bytes([content[-2000] ^ 1]) + content[-1999:],
        "other bytes": os.urandom(500),
        "huge header": b"\xff" * 8 + content[8:],
    }
    cache = FeatureCache(tmp_path / "other", ROOM, "model")
    cache.put(b"other", kept)
    cache.close()
    damaged["another image's"] = files_in(tmp_path / "other")[0].read_bytes()
    path.unlink()
    path.mkdir() if damage == "a folder" else path.write_bytes(damaged[damage])
    cache = FeatureCache(tmp_path, ROOM, "model")
    assert cache.get(b"image") is None
    assert cache.counts["damaged"] == 1
    if damage == "a folder":
        path.rmdir()
    assert b"image" not in cache
    cache.put(b"image", kept)
    cache.close()
    found = cache.get(b"image")
    assert found is not None
    array, (ones, nothing) = found
    assert (type(found), nothing, ones.dtype) == (tuple, None, mx.bfloat16)
    assert mx.array_equal(array, kept[0])


def test_the_least_recently_used_images_make_room(tmp_path: Path) -> None:
    """An image that was read stays longer than one that was not; the budget holds."""
    size = 100_000
    cache = FeatureCache(tmp_path, ROOM, "model")
    for name in (b"first", b"second", b"third"):
        cache.put(name, mx.zeros(size // 4))
    cache.close()
    for age, name in ((10, b"first"), (20, b"second"), (30, b"third")):
        os.utime(cache._path(name), (age, age))
    cache = FeatureCache(tmp_path, int(3.5 * size), "model")
    assert cache.get(b"first") is not None
    cache.put(b"fourth", mx.zeros(size // 4))
    cache.put(b"too large", mx.zeros(size))
    cache.close()
    assert [name in cache for name in (b"first", b"second", b"third", b"fourth", b"too large")] == [
        True,
        False,
        True,
        True,
        False,
    ]
    assert sum(path.stat().st_size for path in files_in(tmp_path)) <= 3.5 * size
    assert cache.counts["left_out"] == 1


def test_a_full_disk_costs_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written then, and no half file stays."""
    cache = FeatureCache(tmp_path / "features", ROOM, "model")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("worker.features.feature_cache.shutil.disk_usage", lambda _: usage(10, 10, 0))
    cache.put(b"image", mx.zeros(10))
    cache.close()
    assert cache.counts["left_out"] == 1
    assert files_in(tmp_path / "features") == []
    (tmp_path / "features").rmdir()
    (tmp_path / "features").write_text("not a folder")
    cache = FeatureCache(tmp_path / "features", ROOM, "model")
    monkeypatch.undo()
    cache.put(b"image", mx.zeros(10))
    cache.close()
    assert cache.counts["left_out"] == 1
    assert cache.get(b"image") is None


def test_features_of_an_unknown_form_are_left_out(tmp_path: Path) -> None:
    """A named tuple would come back as a tuple."""
    pair = namedtuple("pair", "one other")
    cache = FeatureCache(tmp_path, ROOM, "model")
    strange: Mapping[bytes, Any] = {b"a": pair(mx.ones(1), None), b"b": {1: mx.ones(1)}, b"c": object()}
    for key, features in strange.items():
        cache.put(key, features)
    cache.close()
    assert cache.counts["left_out"] == 3


#: Writes, reads and removes the same few images for a while; every image that is found has its own number in it.
_WORKER = """
import sys
from pathlib import Path
import mlx.core as mx
from worker.features import feature_files
from worker.features.feature_cache import FeatureCache
folder = Path(sys.argv[1])
for turn in range(12):
    cache = FeatureCache(folder, 150_000, "model")
    for number in range(8):
        key = bytes([number])
        cache.put(key, mx.full((10_000,), number, mx.float32))
        found = cache.get(key)
        assert found is None or (found == number).all().item(), number
    cache.close()
    assert cache.counts["damaged"] == 0, dict(cache.counts)
    if turn % 5 == 4:
        feature_files.clear(folder)
"""


def test_two_workers_share_one_folder(tmp_path: Path) -> None:
    """They write, read and evict the same images at the same time. No image is another one's, and no file is torn."""
    command = [sys.executable, "-c", _WORKER, str(tmp_path)]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [(worker.communicate(timeout=200)[1], worker.returncode) for worker in workers]
    assert [code for _, code in ends] == [0, 0], ends
    assert [path.name for path in (tmp_path / "model").iterdir() if path.name.endswith(feature_files.UNFINISHED)] == []
