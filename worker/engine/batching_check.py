"""Whether a model's rows come out right, and how they can be batched: tried out when a model is loaded that this version has not
seen.

mlx-vlm carries some 260 architectures, and batches some of them wrongly: a caption is another picture's, or a little of it. So
each row's logits are computed by the library's own loop, and by captionq in a batch, over the same tokens, and compared. Logits,
not answers: a trained model says the right words in spite of much, until one day it does not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx
import numpy as np

from jobs.errors import ModelError, in_words
from jobs.models.batching_verdicts import Batching, BatchingVerdict, key_of, read_verdicts, remember
from jobs.models.model_info import public_name
from jobs.settings import Settings
from worker.engine.check_prompts import Trial, prepare_trial
from worker.engine.decode_batch import last_logits
from worker.engine.kv_memory import KVMemory
from worker.engine.prefill import Prefill, grouped
from worker.models import kv_cache
from worker.models.backends import Backend
from worker.models.failures import is_about_memory
from worker.models.inputs import Embedded, Prepared
from worker.models.kv_cache import Caches
from worker.models.loader import LoadedModel
from worker.models.reference import Logits, Reference

logger = logging.getLogger("captionq.canary")

#: Tokens that the first half of the rows decodes before the others join, and that all decode then.
_BEFORE, _WITH_ALL = 2, 3
#: Those, one in a full batch, and that after the prompt.
TOKENS = _BEFORE + _WITH_ALL + 2
#: By what share of their spread logits may differ in company: rounding stays below the first even in four bits, and where a
#: model's own rounding is larger, so much is allowed; beyond the last it is no rounding.
LEAST_TOLERANCE, MOST_TOLERANCE = 0.02, 0.15
#: Where most prompts are further than this in chunks from what they are whole, it is no rounding: some families count the
#: positions of later chunks anew, and are off by 0.1 to 1.3.
MOST_ROUNDING = 0.1
#: Tokens of such a chunk.
_CHUNK = 16
#: How much larger than the rounding that was seen in a row by itself it may be in company.
_MARGIN = 4.0

#: A row's place, how many of its reference's tokens it was given, and the logits (V,) after them.
Step = tuple[int, int, Logits]
#: A way to compute the rows.
Way = Callable[[], list[Step]]


def verdict_on(loaded: LoadedModel, backend: Backend, settings: Settings) -> BatchingVerdict:
    """How much company the model's rows can bear: remembered, or tried out now.

    Raises OSError, and ModelError for a model whose answers would be wrong.
    """
    assert loaded.info.path is not None
    key = key_of(loaded.info.path)
    verdict = read_verdicts(settings).get(key)
    if verdict is None or verdict.slots < settings.slots:
        verdict = examine(backend, sees=loaded.info.modality == "vision", slots=settings.slots)
        if not verdict.passing:
            remember(settings, key, verdict)
    level = logging.INFO if verdict.batching is Batching.TOGETHER else logging.WARNING
    logger.log(level, "Rows of %s run %s%s.", loaded.info.name, verdict.batching, verdict.explained)
    if verdict.batching is Batching.REFUSED:
        raise ModelError(
            f"'{public_name(loaded.info.name)}' is not used: even one request at a time its logits are not those that its "
            "library itself computes, so its answers would be wrong. Take another model."
        )
    return verdict


def examine(backend: Backend, *, sees: bool, slots: int = 32) -> BatchingVerdict:
    """Find out how much company the rows of this model can bear. `sees`: it is a vision model. `slots`: of a full batch."""
    try:
        trial = prepare_trial(backend, sees=sees)
        rows, references = _references(backend, trial)
    except Exception as error:
        logger.exception("The model could not be tried out; its rows run alone, and its prompts whole.")
        return BatchingVerdict(
            Batching.ALONE,
            reason=in_words(error),
            passing=True,
            whole_prompts=True,
            slots=slots,
        )
    one_image = sees and len(rows) == len(trial.rows)
    whole, tolerance = _rounding(backend, rows, references)
    ways: dict[Batching, Way] = {}
    if backend.group > 1:
        ways[Batching.TOGETHER] = lambda: _in_company(backend, _grouped(backend, rows), references, slots)
    if kv_cache.can_join(backend.language_model):
        ways[Batching.ONE_BY_ONE] = lambda: _in_company(backend, _singly(backend, rows), references, slots)
    ways[Batching.ALONE] = lambda: _alone(backend, rows, references)
    verdict = _best(ways, references, tolerance)
    return replace(verdict, whole_prompts=whole or verdict.whole_prompts, one_image=one_image, slots=slots)


def _best(ways: dict[Batching, Way], references: Sequence[Reference], tolerance: float) -> BatchingVerdict:
    """The first way that comes near enough to the references."""
    refused: float | None = None
    reason, passing = None, False
    for batching, way in ways.items():
        try:
            difference = _difference(references, way())
        except Exception as error:
            logger.exception("Rows could not be tried out %s.", batching)
            reason, passing = in_words(error), passing or is_about_memory(error)
            refused = None
            continue
        if difference <= tolerance:
            return BatchingVerdict(batching, difference, refused, reason, passing=passing)
        refused, reason = difference, None
    if refused is None:
        return BatchingVerdict(Batching.ALONE, reason=reason, passing=True, whole_prompts=True)
    return BatchingVerdict(Batching.REFUSED, refused=refused, passing=passing)


def _references(backend: Backend, trial: Trial) -> tuple[list[Prepared], list[Reference]]:
    """What the library itself makes of the rows; without that of two images where either of us cannot take it."""
    rows, references = list(trial.rows), [backend.reference(row, TOKENS) for row in trial.rows]
    if trial.two_images is not None:
        try:
            backend.embed(trial.two_images)
            two = backend.reference(trial.two_images, TOKENS)
        except Exception as error:
            logger.info("The model takes one image a request: %s", in_words(error))
        else:
            # Not last: it is to be among those that others join.
            rows.insert(1, trial.two_images)
            references.insert(1, two)
    return rows, references


def _rounding(backend: Backend, rows: Sequence[Prepared], references: Sequence[Reference]) -> tuple[bool, float]:
    """Whether prompts must be prefilled whole, and the tolerance: by how far they are in small chunks from what they are whole.

    Other shapes, and the same meaning.
    """
    try:
        backend.forget()
        shares = []
        for at, row in enumerate(rows):
            if len(row.ids) > _CHUNK + 1:
                prefill = _prefilled(backend, [backend.embed(row)], _CHUNK)
                shares.append(_difference(references, [(at, 0, _plain(prefill.logits)[0])]))
    except Exception:
        logger.exception("Prompts could not be tried out in parts; they are prefilled whole.")
        return True, LEAST_TOLERANCE
    whole = float(np.median(shares)) > MOST_ROUNDING
    return whole, float(np.clip(_MARGIN * max(shares), LEAST_TOLERANCE, MOST_TOLERANCE))


def _alone(backend: Backend, rows: Sequence[Prepared], references: Sequence[Reference]) -> list[Step]:
    """Each row on the caches that the model made, not on those of a batch of one."""
    steps: list[Step] = []
    for at, (row, reference) in enumerate(zip(rows, references, strict=True)):
        backend.forget()
        prefill = _prefilled(backend, [backend.embed(row)])
        row_caches, deltas = prefill.caches, prefill.rope_deltas()
        steps.append((at, 0, _plain(prefill.logits)[0]))
        for step, token in enumerate(reference.tokens[:-1], 1):
            steps.append((at, step, _decoded(backend, row_caches, deltas, [token])[0]))
    return steps


#: Rows by their places, and the prefill that they share.
_Prefilled = tuple[list[int], Prefill]


def _grouped(backend: Backend, rows: Sequence[Prepared]) -> list[_Prefilled]:
    """As the engine would: all images in one pass of the tower, and rows that may share a prefill do. Each half by itself."""
    backend.forget()
    seen = backend.encode([row for row in rows if backend.patches(row)])
    mx.eval(list(seen.values()))
    embedded = [backend.embed(row, seen=seen) for row in rows]
    half = len(rows) // 2
    groups = grouped(embedded[:half]) + [[half + at for at in group] for group in grouped(embedded[half:])]
    return [(group, _prefilled(backend, [embedded[at] for at in group])) for group in groups]


def _singly(backend: Backend, rows: Sequence[Prepared]) -> list[_Prefilled]:
    """Each prompt by itself, prefilled as soon as it is embedded: some models keep a prompt's positions."""
    backend.forget()
    return [([at], _prefilled(backend, [backend.embed(row)])) for at, row in enumerate(rows)]


class _Company:
    """Rows that decode together; each gets the tokens that its reference chose."""

    def __init__(self, backend: Backend, references: Sequence[Reference]) -> None:
        self.steps: list[Step] = []
        self._backend = backend
        self._references = references
        self._caches: Caches | None = None
        self._deltas: Any = None
        #: The rows by their places, and how many steps each has made.
        self._rows: list[tuple[int, int]] = []

    def join(self, prefills: Sequence[_Prefilled]) -> None:
        for group, prefill in prefills:
            more, deltas = prefill.batch_caches(), prefill.rope_deltas()
            self._caches = more if self._caches is None else kv_cache.extend(self._caches, more)
            self._deltas = deltas if self._deltas is None else mx.concatenate([self._deltas, deltas])
            self.steps += [(row, 0, first) for row, first in zip(group, _plain(prefill.logits), strict=True)]
            self._rows += [(row, 0) for row in group]

    def decode(self) -> None:
        """One token for every row."""
        assert self._caches is not None
        tokens = [self._references[row].tokens[step] for row, step in self._rows]
        out = _decoded(self._backend, self._caches, self._deltas, tokens)
        self._rows = [(row, step + 1) for row, step in self._rows]
        self.steps += [(row, step, one) for (row, step), one in zip(self._rows, out, strict=True)]

    def crowd(self, slots: int) -> None:
        """Copies of the rows, until there are as many as slots: with many rows a device may compute in other ways."""
        assert self._caches is not None
        memory = KVMemory()
        # All rows are padded to the longest: any length will do.
        memory.measured(kv_cache.size(self._caches), len(self._rows), 1)
        if slots <= len(self._rows) or not memory.holds(slots, 1):
            return
        copies = [at % len(self._rows) for at in range(slots)]
        kv_cache.keep(self._caches, copies)
        self._deltas = None if self._deltas is None else self._deltas[mx.array(copies, mx.int32)]
        self._rows = [self._rows[at] for at in copies]


def _in_company(
    backend: Backend, prefills: Sequence[_Prefilled], references: Sequence[Reference], slots: int
) -> list[Step]:
    """Decode the first half of the rows, then all of them, then a full batch."""
    half = len(references) // 2
    company = _Company(backend, references)
    company.join([one for one in prefills if one[0][0] < half])
    for _ in range(_BEFORE):
        company.decode()
    company.join([one for one in prefills if one[0][0] >= half])
    for _ in range(_WITH_ALL):
        company.decode()
    company.crowd(slots)
    company.decode()
    return company.steps


def _prefilled(backend: Backend, rows: Sequence[Embedded], chunk: int = 4096) -> Prefill:
    prefill = Prefill(backend.language_model, rows)
    while not prefill.finished:
        prefill.step(chunk)
        mx.eval(prefill.pending)
    return prefill


def _decoded(backend: Backend, batch: Caches, deltas: Any, tokens: list[int]) -> Logits:
    """The logits (rows, V) after one more token each."""
    options = {} if deltas is None else {"rope_deltas": deltas}
    return _plain(last_logits(backend.language_model(mx.array(tokens)[:, None], cache=batch, **options)))


def _plain(logits: Any) -> Logits:
    return np.array(logits.astype(mx.float32))


def _difference(references: Sequence[Reference], steps: Sequence[Step]) -> float:
    """The largest root mean square difference of a row's logits at a step, as a share of their standard deviation."""
    shares = [0.0]
    for row, step, logits in steps:
        own = references[row].logits[step]
        shares.append(float(np.sqrt(np.mean((own - logits) ** 2)) / max(float(own.std()), 1e-6)))
    # Anything that is no number is as far away as can be.
    return max(shares) if np.isfinite(shares).all() else float("inf")
