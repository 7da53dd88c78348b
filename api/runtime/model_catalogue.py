"""The models that clients may ask for: those on this machine, and the configured ones.

Any other name is refused: a stranger's request must not start a download of gigabytes, or reveal which folders exist.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Lock

from jobs.configuration.settings import Settings
from jobs.errors import ForbiddenError, ModelError, ModelNotFoundError, ModelUnavailableError
from jobs.images.allowed_roots import is_below
from jobs.models.adapters import split_name, with_adapter
from jobs.models.model_info import ModelInfo, describe, is_here, list_models, public_name

#: Seconds for which the list of models is kept.
LIST_KEPT = 30.0
#: Seconds for which the hub's description of a model that is not on this machine is kept.
DESCRIPTION_KEPT = 3600.0


class Catalogue:
    """Models by their public names: the last part of a local folder's path, or the name itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._listed = float("-inf")
        self._models: dict[str, ModelInfo] = {}
        #: Models that are not on this machine: until when their description is kept, and the description.
        self._elsewhere: dict[str, tuple[float, ModelInfo]] = {}

    def models(self) -> dict[str, ModelInfo]:
        """Return the models by their public names, the default model first. It may not be downloaded yet."""
        with self._lock:
            if time.monotonic() - self._listed > LIST_KEPT:
                self._models = self._list()
                self._listed = time.monotonic()
            return self._models

    def look_again(self, name: str) -> None:
        """Let the next list be read anew if this model is not known to be here: it was downloaded a moment ago."""
        with self._lock:
            info = self._models.get(name)
            if info is None or info.path is None:
                self._listed = float("-inf")

    def resolve(self, name: str | None, adapter: str | None = None) -> ModelInfo:
        """Return the model with this public name; None: the default model.

        Args:
            name: may hold the name of an adapter.
            adapter: a Hugging Face id on this machine, or a folder below the served ones; None: the one in the name.

        Raises ModelError; ForbiddenError for a folder that is not served.
        """
        models = self.models()
        name = name or public_name(self._settings.model)
        if name not in models or adapter is not None:
            name, named = split_name(name)
            if (wanted := adapter or named) is not None:
                return self._with_adapter(self.resolve(name), wanted)
        if name not in models:
            raise ModelNotFoundError(f"Model '{name}' not found. GET /v1/models lists the models of this server.")
        info = models[name]
        return info if info.path is not None else self._described_elsewhere(info)

    def _with_adapter(self, info: ModelInfo, adapter: str) -> ModelInfo:
        if adapter.startswith(("/", "~", ".")):
            if not (adapter.startswith("/") and is_below(Path(adapter), self._settings.served_roots)):
                raise ForbiddenError(
                    "This adapter is not below a served folder. Serve one with: captionq serve --allow-root DIR"
                )
            return describe(with_adapter(info.name, os.path.realpath(adapter)))
        # Only of the form of an id: a folder in the server's working directory is none of the client's business.
        if adapter.count("/") != 1 or Path(adapter).exists() or not is_here(with_adapter(info.name, adapter)):
            raise ModelNotFoundError(
                f"Adapter '{adapter}' not found. Give a folder below a served one, or download it to the server: "
                f"captionq models pull {with_adapter(info.name, adapter)}"
            )
        return describe(with_adapter(info.name, adapter))

    def _described_elsewhere(self, info: ModelInfo) -> ModelInfo:
        """Return the hub's description of a configured model that only the worker's machine may have.

        Without the hub, the configured model is taken as it is: the worker checks it.
        """
        until, known = self._elsewhere.get(info.name, (float("-inf"), info))
        if time.monotonic() < until:
            return known
        try:
            known, kept = describe(info.name), DESCRIPTION_KEPT
        except ModelUnavailableError:
            kept = LIST_KEPT
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
    """Describe a configured model without asking the hub: a model that is not downloaded is described at its first request."""
    try:
        return describe(name) if is_here(name) else ModelInfo(name, "vision", None)
    except ModelError:
        return ModelInfo(name, "vision", None)
