"""Batching verdicts of the built-in models: measured once in a test run, not again for every data folder."""

from __future__ import annotations

from functools import cache

from jobs.configuration.settings import Settings
from jobs.models.batching_verdicts import BatchingVerdict, key_of, read_verdicts, remember
from jobs.models.model_info import built_in_models
from tests.support.shared_files import shared_folder


@cache
def _verdicts() -> dict[str, BatchingVerdict]:
    with shared_folder("verdicts") as folder:
        shared = Settings(data_dir=folder)
        if not read_verdicts(shared):
            for key, verdict in _measured().items():
                remember(shared, key, verdict)
        return read_verdicts(shared)


def _measured() -> dict[str, BatchingVerdict]:
    # Imported here because most tests need neither the verdicts nor mlx.
    from worker.batching_check.check import examine
    from worker.models.backends import make_backend
    from worker.models.loader import load

    loaded = {name: load(name) for name in built_in_models()}
    return {
        key_of(built_in_models()[name]): examine(make_backend(one), sees=one.info.modality == "vision")
        for name, one in loaded.items()
    }


def know_built_in_models(settings: Settings) -> None:
    """Store the verdicts in this data folder, so that its workers skip the batching check. Verdicts already stored stay."""
    for key, verdict in (_verdicts() | read_verdicts(settings)).items():
        remember(settings, key, verdict)
