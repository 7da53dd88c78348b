"""Tiny models that several tests of this folder use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.families import save_model
from worker.models.loader import LoadedModel, load


class TinyModels(dict[str, LoadedModel]):
    """One tiny model of each family, made at its first use: tests of one family need not wait for the others."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, family: str) -> LoadedModel:
        self[family] = load(str(save_model(family, self._folder / family)))
        return self[family]


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:
    """The tiny models that the tests of this folder share."""
    return TinyModels(tmp_path_factory.mktemp("families"))
