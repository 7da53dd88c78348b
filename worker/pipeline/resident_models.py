"""Models in memory: one, or as many as a budget holds. The least recently used one makes room; pinned ones stay."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from mlx.utils import tree_flatten

from jobs.errors import CaptionqError, ModelTooLargeError
from jobs.models.batching_verdicts import Batching
from jobs.models.model_info import describe, public_name
from jobs.settings import Settings
from worker.engine.batching_check import verdict_on
from worker.engine.engine import GROUP, Engine
from worker.models.backends import make_backend
from worker.models.device import claim_device, device_limit, free_memory
from worker.models.download import OnProgress, fetch
from worker.models.loader import load, loading_failed

logger = logging.getLogger("captionq.residency")

#: Seconds until a model that could not be loaded is tried again: a folder's worth of jobs may ask for it.
RELOAD_AFTER = 30.0


@dataclass
class ResidentModel:
    """A model in memory, with the batch of its rows."""

    name: str
    engine: Engine
    #: Of its weights.
    bytes: int
    batching: Batching
    #: Tokens; None: its config does not say.
    context_length: int | None


class ResidentModels:
    """The models of one worker. Everything here belongs to the thread that generates."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: The least recently used one first.
        self._residents: OrderedDict[str, ResidentModel] = OrderedDict()
        #: When a model could not be loaded, and why.
        self._failures: dict[str, tuple[float, CaptionqError]] = {}
        claim_device()

    @property
    def names(self) -> list[str]:
        """Of the models in memory."""
        return list(self._residents)

    def get(self, name: str, tell: OnProgress | None = None) -> ResidentModel:
        """The model, loaded first where it is not there, after others have made room. No row of any model may be running.

        `tell` hears how far it is, if it has to be fetched. Raises ModelError or a subclass.
        """
        if name not in self._residents:
            self._bring(name, tell)
        self._residents.move_to_end(name)
        self._residents[name].engine.look_at_memory()
        return self._residents[name]

    def close(self) -> None:
        """Let go of all."""
        while self._residents:
            self._evict(next(iter(self._residents)))

    def _bring(self, name: str, tell: OnProgress | None) -> None:
        """Load it, unless that failed a moment ago."""
        failed_at, error = self._failures.get(name, (0.0, None))
        if error is not None and time.monotonic() - failed_at < RELOAD_AFTER:
            raise error
        try:
            self._make_room(name, tell)
            self._residents[name] = self._load(name)
        except Exception as cause:
            error = cause if isinstance(cause, CaptionqError) else loading_failed(name, cause)
            if not error.transient:
                # Without where it came from, which would hold what was loaded so far.
                self._failures[name] = (time.monotonic(), type(error)(error.message))
            if error is cause:
                raise
            raise error from cause

    def _load(self, name: str) -> ResidentModel:
        begun = time.perf_counter()
        loaded = load(name)
        backend = make_backend(loaded)
        verdict = verdict_on(loaded, backend, self._settings)
        batching = verdict.batching
        if verdict.whole_prompts:
            # A known beginning is a part, too.
            backend.whole_prompts, backend.shares_prefixes = True, False
        backend.one_image = verdict.one_image
        backend.max_prompt_tokens = self._settings.max_prompt_tokens
        engine = Engine(
            backend,
            slots=1 if batching is Batching.ALONE else self._settings.slots,
            group=GROUP if batching is Batching.TOGETHER else 1,
        )
        size = sum(array.nbytes for _, array in tree_flatten(loaded.model.parameters()))
        logger.info("Loaded %s: %.2f GB in %.1f s.", name, size / 1e9, time.perf_counter() - begun)
        return ResidentModel(name, engine, size, batching, loaded.info.context_length)

    def _make_room(self, name: str, tell: OnProgress | None) -> None:
        """Without a budget one model at a time is in memory, besides those that are pinned."""
        budget = self._settings.memory_bytes(device_limit())
        if describe(name).path is None:
            fetch(name, tell)
        wanted = _weight_bytes(describe(name).path)
        if wanted > (budget or device_limit()):
            raise ModelTooLargeError(
                f"The weights of '{public_name(name)}' are {wanted / 1e9:.1f} GB, and models may take "
                f"{(budget or device_limit()) / 1e9:.1f} GB. "
                "Take a smaller or more strongly quantised one, or raise --memory-budget."
            )
        for other in list(self._residents):
            held = sum(one.bytes for one in self._residents.values())
            full = budget is None or held + wanted > budget
            if full and other not in self._settings.pinned_models:
                self._evict(other)

    def _evict(self, name: str) -> None:
        resident = self._residents.pop(name)
        logger.info("Dropping %s.", name)
        resident.engine.close()
        del resident
        free_memory()


def _weight_bytes(folder: Path | None) -> int:
    """Of the files; 0 where they still have to be fetched."""
    return 0 if folder is None else sum(file.stat().st_size for file in folder.glob("*.safetensors"))
