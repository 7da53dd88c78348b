"""Models whose caches cannot be joined: their sequences run one at a time, on the caches that the model makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlx_lm.models import cache as lm_cache
from mlx_vlm.models import cache as vlm_cache
from mlx_vlm.models.unlimited_ocr.language import RingSlidingKVCache

from jobs.configuration.settings import Settings
from jobs.models.batching_verdicts import Batching, key_of, read_verdicts
from tests.support.families import save_model
from tests.worker.engine.test_exactness import ids_of, mixed_rows, run
from tools.families.measuring import alone
from worker.batching_check.check import verdict_on
from worker.engine.engine import Engine
from worker.models.backends import VisionBackend
from worker.models.kv_cache import can_join
from worker.models.loader import LoadedModel, load

#: Warnings of transformers about arguments of mlx-vlm.
pytestmark = pytest.mark.filterwarnings("ignore:.*use_fast.*")

#: Kinds of caches. The first, Llama 4's, has no `merge`; the second inherits a `merge` that would make a plain cache of it, which
#: forgets nothing.
KINDS: dict[str, Callable[[], Any]] = {
    "chunked": lambda: vlm_cache.ChunkedKVCache(4096),
    "ring": lambda: RingSlidingKVCache(4),
}


def odd_model(folder: Path, kind: str) -> LoadedModel:
    """Make a model with random weights whose layers have caches of this kind."""
    loaded = load(str(save_model("qwen2_vl", folder)))
    language_model = loaded.model.language_model
    language_model.make_cache = lambda: [KINDS[kind]() for _ in language_model.layers]
    return loaded


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_whose_caches_cannot_be_joined_run_by_themselves(kind: str, tmp_path: Path) -> None:
    """Answers equal those of mlx-vlm's own loop, and the verdict is remembered."""
    loaded = odd_model(tmp_path / "model", kind)
    settings = Settings(data_dir=tmp_path / "data")
    settings.make_folders()
    backend = VisionBackend(loaded)
    verdict = verdict_on(loaded, backend, settings)
    assert verdict.batching is Batching.ALONE
    assert "cannot be joined" in verdict.explained
    assert read_verdicts(settings) == {key_of(tmp_path / "model"): verdict}
    rows = mixed_rows(2)
    expected = {key: alone(loaded, row) for key, row in rows.items()}
    prepared = {key: backend.prepare(*row) for key, row in rows.items()}
    assert ids_of(run(Engine(backend, slots=1), prepared)) == expected


@pytest.mark.parametrize("library", [vlm_cache, lm_cache])
def test_which_caches_can_be_joined(library: Any) -> None:
    """A cache can be joined if its own class, and the classes of its parts, define `merge`."""

    class Inherits(library.KVCache):  # type: ignore[misc]
        """A cache with an inherited `merge` that knows nothing of this class."""

    def joins(*caches: Any) -> bool:
        return can_join(SimpleNamespace(make_cache=lambda: list(caches)))

    plain, parts = library.KVCache(), library.ArraysCache(2)
    assert joins(plain, library.RotatingKVCache(8), parts, library.CacheList(plain, parts))
    assert not joins(plain, library.ChunkedKVCache(8))
    assert not joins(Inherits())
    assert not joins(library.CacheList(plain, Inherits()))
    assert not joins(library.CacheList(vlm_cache.SimpleKVCache(), vlm_cache.SimpleKVCache()))
