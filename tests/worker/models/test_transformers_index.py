"""The index of transformers' classes, kept between starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from worker.models.transformers_index import Index, kept

#: Prints whether the library read its sources to make the index, then whether the index is the one that the library makes.
_IMPORTS = """
import sys
read = set()
sys.addaudithook(lambda event, given: read.add(str(given[0])) if event == "open" else None)
from jobs.configuration.settings import Settings
from worker.models.library_imports import LibraryImports
LibraryImports(Settings()).wait()
print(len([path for path in read if "/transformers/models/" in path and path.endswith(".py")]) > 500)
import transformers.models
from transformers.utils import import_utils
folder = transformers.models.__path__[0]
own = import_utils.spread_import_structure(import_utils.create_import_structure_from_path(folder))
print(import_utils.define_import_structure(folder) == own)
"""


def test_the_library_does_not_make_its_index_twice(tmp_path: Path) -> None:
    """A second start reads the kept index, which equals the library's own."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", _IMPORTS]
    for made in ("True", "False"):
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert run.stdout.splitlines() == [made, "True"]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide a folder of modules, and an empty cache folder."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    (tmp_path / "models" / "one").mkdir(parents=True)
    (tmp_path / "models" / "one" / "configuration_one.py").write_text('__all__ = ["OneConfig"]')
    return tmp_path / "models"


def test_a_changed_module_makes_a_new_index(models: Path) -> None:
    """The index is kept until a module changes; a file that cannot be read counts as none."""
    index: Index = {frozenset({"torch", "vision"}): {"one.configuration_one": {"OneConfig", "OneVisionConfig"}}}
    calls = []

    def make(path: str | Path, prefix: str | None = None) -> Index:
        calls.append((str(path), prefix))
        return index

    for _ in range(2):
        assert kept(make, models)(models / "__init__.py") == index
    assert calls == [(str(models), None)]
    assert kept(make, models)(models, "models") == {
        frozenset({"torch", "vision"}): {"models.one.configuration_one": {"OneConfig", "OneVisionConfig"}}
    }
    (models / "one" / "configuration_one.py").write_text('__all__ = ["OneConfig", "Two"]')
    kept(make, models)(models)
    newest = max((models.parent / "cache").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    newest.write_text("[[")
    kept(make, models)(models)
    assert len(calls) == 3
    kept(make, models)(models / "one" / "__init__.py", "one")
    assert calls[3:] == [(str(models / "one" / "__init__.py"), "one")]


def test_several_installations_keep_their_indexes(models: Path) -> None:
    """captionq in one environment does not make the index of another one again; the oldest of many are removed."""
    index: Index = {frozenset(): {"one.configuration_one": {"OneConfig"}}}
    installations = [models.rename(models.with_name("0"))]
    installations += [Path(shutil.copytree(installations[0], models.with_name(str(number)))) for number in range(1, 6)]
    made: list[str] = []

    def make(path: str | Path, prefix: str | None = None) -> Index:
        made.append(Path(path).name)
        return index

    for at in (0, 1, 0, 1, 2, 3, 4, 5, 2, 5, 0):
        assert kept(make, installations[at])(installations[at]) == index
    assert made == ["0", "1", "2", "3", "4", "5", "0"]


def test_a_cache_folder_that_cannot_be_written_costs_time_only(models: Path) -> None:
    """The index is made at each start when it cannot be kept."""
    (models.parent / "cache").write_text("a file")
    index: Index = {frozenset(): {"one.configuration_one": {"OneConfig"}}}
    assert kept(lambda *_: index, models)(models) == index
