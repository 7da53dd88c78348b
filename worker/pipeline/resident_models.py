"""Models in memory: one model, or as many as a budget allows. The least recently used model is evicted; pinned models stay."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mlx.utils import tree_flatten

from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError, ModelTooLargeError
from jobs.models.batching_verdicts import Batching, model_key
from jobs.models.model_info import describe, public_name, weights_size
from worker.batching_check.check import verdict_on
from worker.engine.engine import Engine
from worker.features.feature_cache import FeatureCache
from worker.features.model_fingerprint import feature_fingerprint
from worker.models.backends import make_backend
from worker.models.device import claim_device, device_limit, device_name, free_memory
from worker.models.download import OnProgress, fetch
from worker.models.library_quirks import tower_name
from worker.models.loader import LoadedModel, load, loading_failed
from worker.models.vision.half_precision import compute_in_half

logger = logging.getLogger("captionq.models")

#: Seconds until a model that could not be loaded is tried again, because a whole folder of jobs may ask for the same model.
RELOAD_AFTER = 30.0


@dataclass
class ResidentModel:
    """A model in memory, with the engine that batches its sequences."""

    name: str
    engine: Engine
    #: Bytes of the model's weights.
    bytes: int
    batching: Batching
    #: The fingerprint of the model's files and of the libraries that run it.
    fingerprint: str
    #: Tokens of the context; None: the model's config does not say.
    context_length: int | None
    #: Features of images on the disk; None: there is no room for any.
    features: FeatureCache | None


class ResidentModels:
    """The models in memory of one worker. To be used only from the thread that generates."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: The models by name, the least recently used first.
        self._residents: OrderedDict[str, ResidentModel] = OrderedDict()
        #: For each model that could not be loaded: the time of the failure, and its error.
        self._failures: dict[str, tuple[float, CaptionqError]] = {}
        claim_device()

    @property
    def names(self) -> list[str]:
        """The names of the models in memory."""
        return list(self._residents)

    def get(
        self, name: str, on_progress: OnProgress | None = None, on_check: Callable[[], None] | None = None
    ) -> ResidentModel:
        """Return a model, loaded first if it is not in memory, with others evicted to make room. No sequence may be running.

        Args:
            name: The model's name.
            on_progress: Called as `on_progress(done, total)` while the model downloads.
            on_check: Called before the batching check of a model that has not been checked.

        Raises:
            ModelError: The model cannot be loaded; or a subclass that names the reason.
        """
        if name not in self._residents:
            self._bring(name, on_progress, on_check)
        self._residents.move_to_end(name)
        self._residents[name].engine.look_at_memory()
        return self._residents[name]

    def unload(self) -> None:
        """Unload the models that are not pinned."""
        for name in [name for name in self._residents if name not in self._settings.pinned_models]:
            self._evict(name)

    def close(self) -> None:
        """Unload all models."""
        while self._residents:
            self._evict(next(iter(self._residents)))

    def _bring(self, name: str, on_progress: OnProgress | None, on_check: Callable[[], None] | None) -> None:
        """Load a model, unless that failed a moment ago."""
        failed_at, error = self._failures.get(name, (0.0, None))
        if error is not None and time.monotonic() - failed_at < RELOAD_AFTER:
            raise error
        try:
            self._make_room(name, on_progress)
            self._residents[name] = self._load(name, on_check)
        except Exception as cause:
            error = cause if isinstance(cause, CaptionqError) else loading_failed(name, cause)
            if not error.transient:
                # A new error without the traceback, which would keep the loaded part of the model in memory.
                self._failures[name] = (time.monotonic(), type(error)(error.message))
            if error is cause:
                raise
            raise error from cause

    def _load(self, name: str, on_check: Callable[[], None] | None) -> ResidentModel:
        begun = time.perf_counter()
        loaded = load(name)
        if self._settings.half_precision_vision:
            compute_in_half(loaded.model)
        backend = make_backend(loaded)
        verdict = verdict_on(loaded, backend, self._settings, on_check)
        if self._settings.clear_after_load:
            free_memory()
        batching = verdict.batching
        if verdict.whole_prompts:
            # A prompt that starts from a cached prefix is prefilled in parts, too.
            backend.whole_prompts, backend.shares_prefixes = True, False
        backend.one_image = verdict.one_image
        backend.max_prompt_tokens = self._settings.max_prompt_tokens
        engine = Engine(
            backend,
            slots=1 if batching is Batching.ALONE else self._settings.slots,
            group=self._settings.prefill_group if batching is Batching.TOGETHER else 1,
        )
        size = sum(array.nbytes for _, array in tree_flatten(loaded.model.parameters()))
        logger.info("Loaded %s: %.2f GB in %.1f s.", name, size / 1e9, time.perf_counter() - begun)
        fingerprint = model_key(self._settings, *loaded.info.folders)
        features = self._feature_cache(loaded)
        if features is not None:
            # Not before the check, which compares what the tower computes.
            backend.keep_features(features)
        return ResidentModel(name, engine, size, batching, fingerprint, loaded.info.context_length, features)

    def _feature_cache(self, loaded: LoadedModel) -> FeatureCache | None:
        budget, tower = self._settings.feature_cache_bytes, tower_name(loaded.model)
        if not budget or tower is None:
            return None
        types = {str(array.dtype) for _, array in tree_flatten(getattr(loaded.model, tower).parameters())}
        fingerprint = feature_fingerprint(loaded.info.folders, [device_name(), *types])
        return FeatureCache(self._settings.feature_dir, budget, fingerprint)

    def _make_room(self, name: str, on_progress: OnProgress | None) -> None:
        """Download the model if necessary, then evict others: without a budget all that are not pinned."""
        budget = self._settings.memory_bytes(device_limit())
        if describe(name).path is None:
            fetch(name, on_progress)
        wanted = weights_size(*describe(name).folders)
        if wanted > (budget or device_limit()):
            raise ModelTooLargeError(
                f"The weights of '{public_name(name)}' are {wanted / 1e9:.1f} GB, and models may take "
                f"{(budget or device_limit()) / 1e9:.1f} GB. "
                "Use a smaller or more strongly quantized model, or raise --memory-budget."
            )
        for other in list(self._residents):
            held = sum(resident.bytes for resident in self._residents.values())
            full = budget is None or held + wanted > budget
            if full and other not in self._settings.pinned_models:
                self._evict(other)

    def _evict(self, name: str) -> None:
        resident = self._residents.pop(name)
        logger.info("Dropping %s.", name)
        resident.engine.close()
        if resident.features is not None:
            resident.features.close()
        del resident
        free_memory()
