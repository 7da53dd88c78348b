"""Packages whose own code runs at the first use of one of its names: importing a module below them does not need that code."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

#: One lock for all packages: their code may use names of each other.
_RUNNING = threading.RLock()


def defer_packages(*names: str) -> None:
    """Run the `__init__` of these packages when a name that it defines is first used. Modules below them are imported as usual.

    A package that is imported already stays as it is. Not for packages whose modules need the order in which the package imports
    them, such as requests and mlx_vlm.
    """
    sys.meta_path.insert(0, _DeferringFinder(frozenset(names)))


class _DeferringFinder(MetaPathFinder):
    """A finder that gives the packages of its names the class below."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and spec.submodule_search_locations:
            spec.loader = _DeferringLoader(spec.loader)
        return spec


class _DeferringLoader(Loader):
    """A loader that leaves a package's code to the package's first use."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        # Resources and sources of the package are read through its loader.
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _DeferredPackage(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Keep the package's own loader for later."""
        module.__dict__["_deferred_loader"] = self._loader


class _DeferredPackage(ModuleType):
    """A package without its own names. The first look for one runs its code."""

    def __getattr__(self, name: str) -> Any:
        with _RUNNING:
            # Taken out first: the code below may look for a name that it has yet to define.
            loader = self.__dict__.pop("_deferred_loader", None)
            if loader is not None:
                try:
                    loader.exec_module(self)
                except BaseException:
                    self.__dict__["_deferred_loader"] = loader
                    raise
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None
