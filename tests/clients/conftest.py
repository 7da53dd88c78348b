"""One server for all clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.configuration.settings import Settings
from tests.support.processes import DATA_FOLDER
from tests.support.scenes import Drawn, draw_many
from tests.support.serving import Served, serving


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that listens also at a port for Ollama's clients."""
    folder = tmp_path_factory.mktemp("clients")
    settings = Settings(data_dir=folder / DATA_FOLDER)
    settings.make_folders()
    with serving(settings, "--ollama-port", "0") as running:
        yield running


@pytest.fixture(scope="package")
def drawn() -> Drawn:
    """A picture whose caption the demo model knows."""
    return draw_many(1)[0]
