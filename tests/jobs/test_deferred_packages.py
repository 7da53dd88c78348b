"""Packages whose own code runs at the first use of a name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.deferred_packages import defer_packages

_CODE = """
import deferred_example.part
RUNS = globals().get("RUNS", 0) + 1
from .part import VALUE
from . import other
"""


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Provide a deferred package that imports its own modules."""
    folder = tmp_path / "deferred_example"
    folder.mkdir()
    (folder / "__init__.py").write_text(_CODE)
    (folder / "part.py").write_text("VALUE = 7")
    (folder / "other.py").write_text("from deferred_example import VALUE")
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    defer_packages("deferred_example")
    yield folder
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.split(".")[0] == "deferred_example"]:
        del sys.modules[name]


def test_a_module_is_imported_without_the_code_of_its_package(example: Path) -> None:
    """A module below the package does not run the package's code; the first name of the package does, once."""
    part = importlib.import_module("deferred_example.part")
    package = sys.modules["deferred_example"]
    assert (part.VALUE, "RUNS" in vars(package), "deferred_example.other" in sys.modules) == (7, False, False)
    assert (package.VALUE, package.RUNS, package.other.VALUE) == (7, 1, 7)
    assert not hasattr(package, "missing")


def test_a_package_that_failed_to_run_says_so_again(example: Path) -> None:
    """An error of the package's code is raised at each use, as at each import of a package that is not deferred."""
    (example / "__init__.py").write_text("import a_package_that_is_not_there")
    package = importlib.import_module("deferred_example")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
            _ = package.VALUE
