"""What is known of the built-in models: found out once in a test process, not in every data folder anew."""

from __future__ import annotations

from functools import cache

from jobs.models.batching_verdicts import BatchingVerdict, key_of, read_verdicts, remember
from jobs.models.model_info import built_in_models
from jobs.settings import Settings


@cache
def _verdicts() -> dict[str, BatchingVerdict]:
    # Most tests never ask for them, and need no mlx.
    from worker.engine.batching_check import examine
    from worker.models.backends import make_backend
    from worker.models.loader import load

    loaded = {name: load(name) for name in built_in_models()}
    return {
        key_of(built_in_models()[name]): examine(make_backend(one), sees=one.info.modality == "vision")
        for name, one in loaded.items()
    }


def know_built_in_models(settings: Settings) -> None:
    """Workers of this data folder need not try the built-in models out. What it knows already stays."""
    for key, verdict in (_verdicts() | read_verdicts(settings)).items():
        remember(settings, key, verdict)
