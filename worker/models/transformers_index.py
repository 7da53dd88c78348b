"""The index of transformers' classes, kept between starts: the library makes it of 1,700 of its source files at each import.

The index says which module holds which class, and the packages that the class needs. It is kept in the user's cache folder, and
made again when any of those files has another size or time, as Python does with compiled modules.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import platformdirs

logger = logging.getLogger("captionq.worker")

#: Packages that a class needs → module → its classes.
Index = dict[frozenset[str], dict[str, set[str]]]

_MODULE = "transformers.utils.import_utils"
_FUNCTION = "define_import_structure"
#: Indexes that are kept, the newest ones: captionq may be installed in several environments, which take turns.
_KEPT = 4


def keep_index() -> None:
    """Keep the index between starts. Must come before transformers is imported, and changes nothing afterwards."""
    if _MODULE not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """A finder that wraps the function making the index as soon as its module is executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_wrap(module: ModuleType) -> None:
                execute(module)
                folder = Path(module.__file__ or "").parents[1] / "models"
                setattr(module, _FUNCTION, kept(getattr(module, _FUNCTION), folder))

            spec.loader.exec_module = execute_and_wrap  # type: ignore[method-assign]
        return spec


def kept(make: Callable[..., Index], models: Path) -> Callable[..., Index]:
    """Wrap `make(path, prefix)`: the index of the folder of all models is read from the cache, any other is made as usual."""

    @lru_cache
    def index_of_models() -> Index:
        path = _path(models)
        try:
            return _decoded(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError, AttributeError):
            index = make(str(models))
            _write(path, index)
            return index

    def define(module_path: str | Path, prefix: str | None = None) -> Index:
        path = Path(module_path)
        if path not in (models, models / "__init__.py"):
            return make(module_path, prefix)
        start = f"{prefix}." if prefix else ""
        # A new one for each caller, as the caller adds its own.
        return {
            needs: {f"{start}{module}": classes for module, classes in modules.items()}
            for needs, modules in index_of_models().items()
        }

    return define


def _path(models: Path) -> Path:
    """Return the file of the index of these source files."""
    state = hashlib.sha256(repr((str(models), sys.version_info[:2], sorted(_files(str(models))))).encode())
    return platformdirs.user_cache_path("captionq", appauthor=False) / f"transformers-{state.hexdigest()[:16]}.json"


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and time of all modules below a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            elif entry.name.endswith(".py"):
                state = entry.stat()
                yield entry.path, state.st_size, state.st_mtime_ns


def _write(path: Path, index: Index) -> None:
    """Keep an index, and remove the oldest ones."""
    entries = [
        [sorted(needs), {name: sorted(held) for name, held in modules.items()}] for needs, modules in index.items()
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(entries, file)
        Path(file.name).replace(path)
        indexes = sorted(path.parent.glob("transformers-*.json"), key=lambda one: one.stat().st_mtime_ns)
        for old in indexes[:-_KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        # The next start takes as long as this one.
        logger.debug("The index of transformers could not be kept: %s", error)


def _decoded(entries: list[Any]) -> Index:
    return {frozenset(needs): {name: set(classes) for name, classes in modules.items()} for needs, modules in entries}
