"""Tiny models that several tests of this folder use."""

from __future__ import annotations

import pytest

from tests.support.families import FAMILIES, save_model
from worker.models.loader import LoadedModel, load


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:
    """One tiny model of each family."""
    folder = tmp_path_factory.mktemp("families")
    return {family: load(str(save_model(family, folder / family))) for family in FAMILIES}
