"""The models that may be asked for over HTTP: those that are here, and the one that is configured.

Any other name is refused: a stranger's request is not to start a download of gigabytes, or to tell which folders there are.
"""

from __future__ import annotations

import time
from threading import Lock

from jobs.errors import ModelError, ModelNotFoundError, ModelUnavailableError
from jobs.models.model_info import ModelInfo, describe, is_here, list_models, public_name
from jobs.settings import Settings

#: Seconds for which the list of models is not made anew.
FRESH = 30.0
#: Seconds for which a model that is not on this machine is taken for what the hub said that it is.
DESCRIBED = 3600.0


class Catalogue:
    """Models by the names that they have outside: of a local folder its last part, of all others the same as inside."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._listed = float("-inf")
        self._models: dict[str, ModelInfo] = {}
        #: Models that are not on this machine, and until when they need not be asked about.
        self._elsewhere: dict[str, tuple[float, ModelInfo]] = {}

    def models(self) -> dict[str, ModelInfo]:
        """By their names outside. The first one is the default; it may not have been fetched yet."""
        with self._lock:
            if time.monotonic() - self._listed > FRESH:
                self._models = self._list()
                self._listed = time.monotonic()
            return self._models

    def resolve(self, name: str | None) -> ModelInfo:
        """The model of this name outside; None: the default. Raises ModelError."""
        models = self.models()
        name = name or public_name(self._settings.model)
        if name not in models:
            raise ModelNotFoundError(f"There is no model '{name}' here. GET /v1/models lists those that there are.")
        info = models[name]
        return info if info.path is not None else self._described_elsewhere(info)

    def _described_elsewhere(self, info: ModelInfo) -> ModelInfo:
        """A configured model that the worker's machine may have: what the hub says of it; the worker knows when it is away."""
        until, known = self._elsewhere.get(info.name, (float("-inf"), info))
        if time.monotonic() < until:
            return known
        try:
            known, kept = describe(info.name), DESCRIBED
        except ModelUnavailableError:
            kept = FRESH
        self._elsewhere[info.name] = (time.monotonic() + kept, known)
        return known

    def _list(self) -> dict[str, ModelInfo]:
        found: dict[str, ModelInfo] = {}
        for name in (self._settings.model, *self._settings.pinned_models):
            found[public_name(name)] = _described(name)
        for info in list_models():
            found.setdefault(info.name, info)
        return found


def _described(name: str) -> ModelInfo:
    """A model that is configured, and may have to be fetched yet: what it is, is asked for when somebody wants it."""
    try:
        return describe(name) if is_here(name) else ModelInfo(name, "vision", None)
    except ModelError:
        return ModelInfo(name, "vision", None)
