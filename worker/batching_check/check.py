"""The batching check: whether a model's answers come out right, and how its sequences can be batched.

The check runs when a model is loaded that this version has not seen. mlx-vlm carries some 260 architectures, and batches some of
them wrongly: a caption is another image's, or a little of it. So each sequence's logits are computed by the library's own loop,
and by captionq in a batch, over the same tokens, and compared. Logits, not answers: a trained model says the right words in spite
of much, until one day it does not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from jobs.configuration.settings import Settings
from jobs.errors import ModelError, in_words
from jobs.models.batching_verdicts import Batching, BatchingVerdict, model_key, read_verdicts, remember
from jobs.models.model_info import public_name
from worker.batching_check.prompts import CheckPrompts, prepare_prompts
from worker.batching_check.ways import TOKENS, Step, Way, as_numpy, prefilled, ways_to_batch
from worker.models.backends import Backend
from worker.models.failures import is_about_memory
from worker.models.inputs import Prepared
from worker.models.loader import LoadedModel
from worker.models.reference import Reference

logger = logging.getLogger("captionq.batching_check")

#: Differences of logits in a batch, as shares of their spread. Rounding stays below the first even in four bits. A model whose
#: own rounding is larger is allowed more, up to the second; beyond that it is no rounding.
LEAST_TOLERANCE, MOST_TOLERANCE = 0.02, 0.15
#: If most prompts differ by more than this between chunks and the whole, it is no rounding: some families count the positions
#: of later chunks from zero again, and are off by 0.1 to 1.3.
MOST_ROUNDING = 0.1
#: Tokens of such a chunk.
_CHUNK = 16
#: Rounding allowed in a batch, as a multiple of the rounding seen in a sequence by itself.
_MARGIN = 4.0


def verdict_on(
    loaded: LoadedModel, backend: Backend, settings: Settings, on_check: Callable[[], None] | None = None
) -> BatchingVerdict:
    """Return how the model's sequences can be batched, as remembered from an earlier check or by a new one.

    `on_check` is called before a new check.

    Raises:
        ModelError: The model's answers would be wrong even one at a time.
        OSError: The verdict cannot be read or written.
    """
    key = model_key(settings, *loaded.info.folders)
    verdict = read_verdicts(settings).get(key)
    if verdict is None or verdict.slots < settings.slots:
        if on_check is not None:
            on_check()
        verdict = examine(backend, sees=loaded.info.modality == "vision", slots=settings.slots)
        if not verdict.passing:
            remember(settings, key, verdict)
    level = logging.INFO if verdict.batching is Batching.TOGETHER else logging.WARNING
    logger.log(level, "Requests to %s run %s%s.", loaded.info.name, verdict.batching, verdict.explained)
    if verdict.batching is Batching.REFUSED:
        raise ModelError(
            f"'{public_name(loaded.info.name)}' cannot be used: even one request at a time, its logits differ from those that "
            "its library computes, so its answers would be wrong. Use another model."
        )
    return verdict


def examine(backend: Backend, *, sees: bool, slots: int = 32) -> BatchingVerdict:
    """Check whether this model gives the same logits batched as its library gives one at a time.

    Args:
        sees: Whether it is a vision model.
        slots: Sequences of a full batch.
    """
    try:
        check = prepare_prompts(backend, sees=sees)
        prompts, references = _references(backend, check)
    except Exception as error:
        logger.exception("The model could not be checked; its requests run one at a time, with whole prompts.")
        return BatchingVerdict(
            Batching.ALONE,
            reason=in_words(error),
            passing=True,
            whole_prompts=True,
            slots=slots,
        )
    one_image = sees and len(prompts) == len(check.prompts)
    whole, tolerance = _rounding(backend, prompts, references)
    verdict = _best(ways_to_batch(backend, prompts, references, slots), references, tolerance)
    return replace(verdict, whole_prompts=whole or verdict.whole_prompts, one_image=one_image, slots=slots)


def _best(ways: Mapping[Batching, Way], references: Sequence[Reference], tolerance: float) -> BatchingVerdict:
    """Return the first way whose logits are within the tolerance of the references'."""
    refused: float | None = None
    reason, passing = None, False
    for batching, way in ways.items():
        try:
            difference = _difference(references, way())
        except Exception as error:
            logger.exception("Batching '%s' could not be checked.", batching)
            reason, passing = in_words(error), passing or is_about_memory(error)
            refused = None
            continue
        if difference <= tolerance:
            return BatchingVerdict(batching, difference, refused, reason, passing=passing)
        refused, reason = difference, None
    if refused is None:
        return BatchingVerdict(Batching.ALONE, reason=reason, passing=True, whole_prompts=True)
    return BatchingVerdict(Batching.REFUSED, refused=refused, passing=passing)


def _references(backend: Backend, check: CheckPrompts) -> tuple[list[Prepared], list[Reference]]:
    """Return the prompts with the library's own logits.

    Leaves out the prompt with two images if the library or captionq cannot take it.
    """
    prompts, references = list(check.prompts), [backend.reference(prompt, TOKENS) for prompt in check.prompts]
    if check.two_images is not None:
        try:
            backend.embed(check.two_images)
            two = backend.reference(check.two_images, TOKENS)
        except Exception as error:
            logger.info("The model takes one image a request: %s", in_words(error))
        else:
            # In the first half, which other sequences join.
            prompts.insert(1, check.two_images)
            references.insert(1, two)
    return prompts, references


def _rounding(backend: Backend, prompts: Sequence[Prepared], references: Sequence[Reference]) -> tuple[bool, float]:
    """Compare prompts prefilled in small chunks with the references: other shapes, and the same meaning.

    Returns:
        Whether prompts must be prefilled whole, and the tolerance for batches.
    """
    try:
        backend.forget()
        shares = []
        for at, prompt in enumerate(prompts):
            if len(prompt.ids) > _CHUNK + 1:
                prefill = prefilled(backend, [backend.embed(prompt)], _CHUNK)
                shares.append(_difference(references, [(at, 0, as_numpy(prefill.logits)[0])]))
    except Exception:
        logger.exception("Prompts could not be checked in chunks; they are prefilled whole.")
        return True, LEAST_TOLERANCE
    whole = float(np.median(shares)) > MOST_ROUNDING
    return whole, float(np.clip(_MARGIN * max(shares), LEAST_TOLERANCE, MOST_TOLERANCE))


def _difference(references: Sequence[Reference], steps: Sequence[Step]) -> float:
    """Return the largest root mean square difference of logits at a step, as a share of their standard deviation."""
    shares = [0.0]
    for at, step, logits in steps:
        own = references[at].logits[step]
        shares.append(float(np.sqrt(np.mean((own - logits) ** 2)) / max(float(own.std()), 1e-6)))
    # Logits that are no numbers count as infinitely far away.
    return max(shares) if np.isfinite(shares).all() else float("inf")
