"""Whether the rows of a model leave each other alone: tried out on a few pictures and prompts, when a model is loaded that this
version has not seen.

mlx-vlm carries some 260 architectures, and batches some of them wrongly: a caption is another picture's, or a little of it. So
each row's logits are computed by itself and in company, over the same tokens, and compared. Logits, not answers: a trained
model says the right words in spite of much, until one day it does not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from jobs.errors import CaptionqError
from jobs.requests import ImagePart, ImageURL, Message, Request, Sampling, TextPart
from jobs.settings import Settings
from jobs.verdicts import Batching, Verdict, key_of, read_verdicts, remember
from worker import caches
from worker.backends import Backend
from worker.batch import last_logits
from worker.caches import Caches
from worker.loader import LoadedModel
from worker.prefill import Prefill
from worker.rows import Embedded, Prepared

logger = logging.getLogger("captionq.canary")

#: Tokens that each row decodes after its prompt.
STEPS = 3
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

Logits = npt.NDArray[np.float32]


def verdict_on(loaded: LoadedModel, backend: Backend, settings: Settings) -> Verdict:
    """How much company the model's rows can bear: remembered, or tried out now. Raises OSError."""
    assert loaded.info.path is not None
    key = key_of(loaded.info.path)
    verdict = read_verdicts(settings).get(key)
    if verdict is None:
        verdict = examine(backend, sees=loaded.info.modality == "vision")
        # What went wrong may have been passing: another program held the memory.
        if verdict.reason is None:
            remember(settings, key, verdict)
    level = logging.INFO if verdict.batching is Batching.TOGETHER else logging.WARNING
    logger.log(level, "Rows of %s run %s%s.", loaded.info.name, verdict.batching, verdict.explained)
    return verdict


def examine(backend: Backend, *, sees: bool) -> Verdict:
    """Find out how much company the rows of this model can bear. `sees`: it is a vision model."""
    try:
        rows = [backend.prepare(*row) for row in _rows(sees)]
        alone = [_alone(backend, row) for row in rows]
        pairs = [pair for pair in zip(rows, alone, strict=True) if len(pair[0].ids) > _CHUNK + 1]
        roundings = [_rounding(backend, *pair) for pair in pairs]
        whole = float(np.median(roundings)) > MOST_ROUNDING
        tolerance = float(np.clip(_MARGIN * max(roundings), LEAST_TOLERANCE, MOST_TOLERANCE))
        refused = None
        if backend.group > 1:
            difference = _difference(alone, _together(backend, rows, alone))
            if difference <= tolerance:
                return Verdict(Batching.TOGETHER, difference, whole_prompts=whole)
            refused = difference
        if not caches.can_join(backend.language_model):
            return Verdict(Batching.ALONE, whole_prompts=whole)
        difference = _difference(alone, _one_by_one(backend, rows, alone))
    except Exception as error:
        logger.exception("The model could not be tried out in company; its rows run alone.")
        reason = error.message if isinstance(error, CaptionqError) else f"{type(error).__name__}: {error}"
        return Verdict(Batching.ALONE, reason=reason)
    if difference <= tolerance:
        return Verdict(Batching.ONE_BY_ONE, difference, refused, whole_prompts=whole)
    return Verdict(Batching.ALONE, refused=difference, whole_prompts=whole)


@dataclass(frozen=True)
class _Alone:
    """A row by itself: its logits (1 + STEPS, V) after the prompt and after each of the tokens that it chose."""

    logits: Logits
    tokens: list[int]


def _alone(backend: Backend, row: Prepared) -> _Alone:
    backend.forget()
    prefill = _prefilled(backend, [backend.embed(row)])
    # On the caches that the model made, not on those of a batch of one: it is the measure of all the others.
    row_caches, deltas = prefill.caches, prefill.rope_deltas()
    logits, tokens = [_plain(prefill.logits)[0]], []
    for _ in range(STEPS):
        tokens.append(int(logits[-1].argmax()))
        logits.append(_decoded(backend, row_caches, deltas, [tokens[-1]])[0])
    return _Alone(np.stack(logits), tokens)


def _rounding(backend: Backend, row: Prepared, alone: _Alone) -> float:
    """How far a prompt in small chunks is from the same prompt whole: other shapes, and the same meaning."""
    prefill = _prefilled(backend, [backend.embed(row)], _CHUNK)
    return _difference([_Alone(alone.logits[:1], [])], [_plain(prefill.logits)])


def _together(backend: Backend, rows: Sequence[Prepared], alone: Sequence[_Alone]) -> list[Logits]:
    """All images in one pass of the tower, all prompts in one prefill; half of the rows join while the others decode."""
    backend.forget()
    seen = backend.encode([row for row in rows if backend.patches(row)])
    mx.eval(list(seen.values()))
    embedded = [backend.embed(row, seen=seen) for row in rows]
    half = len(rows) // 2
    return _decode_in_two([_groups(backend, embedded[:half]), _groups(backend, embedded[half:])], backend, alone, half)


def _one_by_one(backend: Backend, rows: Sequence[Prepared], alone: Sequence[_Alone]) -> list[Logits]:
    """Each prompt by itself, all in one batch."""
    backend.forget()
    embedded = [backend.embed(row) for row in rows]
    half = len(rows) // 2
    halves = [[_prefilled(backend, [row]) for row in part] for part in (embedded[:half], embedded[half:])]
    return _decode_in_two(halves, backend, alone, half)


def _groups(backend: Backend, rows: Sequence[Embedded]) -> list[Prefill]:
    """As the engine would: rows that may share a prefill do."""
    if all(row.shareable for row in rows):
        return [_prefilled(backend, rows)]
    return [_prefilled(backend, [row]) for row in rows]


def _decode_in_two(halves: list[list[Prefill]], backend: Backend, alone: Sequence[_Alone], half: int) -> list[Logits]:
    """Decode the first half's rows for two steps, then all; every row is given the tokens that it chose alone."""
    prefills = [prefill for part in halves for prefill in part]
    logits: list[list[Any]] = [[row] for prefill in prefills for row in _plain(prefill.logits)]
    batch, deltas = _joined(None, None, halves[0])
    for first, last in ((0, 2), (2, 2 + STEPS)):
        if first:
            batch, deltas = _joined(batch, deltas, halves[1])
        running = range(half if not first else len(alone))
        for step in range(first, last):
            # A row whose tokens are used up goes on with the last one, and is looked at no more.
            at = [min(step - (first if row >= half else 0), STEPS - 1) for row in running]
            out = _decoded(backend, batch, deltas, [alone[row].tokens[at[row]] for row in running])
            for row in running:
                logits[row].append(out[row])
    return [np.stack(one[: 1 + STEPS]) for one in logits]


def _joined(batch: Caches | None, deltas: Any, prefills: Sequence[Prefill]) -> tuple[Caches, Any]:
    for prefill in prefills:
        more, more_deltas = prefill.batch_caches(), prefill.rope_deltas()
        batch = more if batch is None else caches.extend(batch, more)
        deltas = more_deltas if deltas is None else mx.concatenate([deltas, more_deltas])
    assert batch is not None
    return batch, deltas


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


def _difference(alone: Sequence[_Alone], company: Sequence[Logits]) -> float:
    """The largest root mean square difference of a row's logits at a step, as a share of their standard deviation."""
    shares = [0.0]
    for one, other in zip(alone, company, strict=True):
        apart = np.sqrt(np.mean((one.logits - other) ** 2, axis=-1))
        shares += (apart / np.maximum(one.logits.std(axis=-1), 1e-6)).tolist()
    # Anything that is no number is as far away as can be.
    return max(shares) if np.isfinite(shares).all() else float("inf")


def _rows(sees: bool) -> Iterator[tuple[Request, list[Image.Image]]]:
    """Prompts of several lengths; with pictures of several sizes, before and after the text, two of them, and none."""
    yield _request("Name three colours."), []
    yield _request("What is the capital of France? Answer in one short sentence, and say why it is so."), []
    if not sees:
        yield _request("Count."), []
        yield _request("Write a poem about the sea. " * 4), []
        return
    wide, tall, square = _picture(0, 224, 112), _picture(1, 112, 280), _picture(2, 168, 168)
    yield _request(_IMAGE, "Describe this image."), [wide]
    yield _request("Which shapes are in this image, and where?", _IMAGE), [tall]
    yield _request(_IMAGE, "or", _IMAGE, "?"), [square, wide]
    yield _request(_IMAGE, "What is it?"), [square]


_IMAGE = ImagePart(image_url=ImageURL(url="data:image/png;base64,"))


def _request(*content: str | ImagePart) -> Request:
    parts = [TextPart(text=part) if isinstance(part, str) else part for part in content]
    return Request(
        model="any", messages=[Message(role="user", content=parts)], sampling=Sampling(max_tokens=2 * STEPS + 2)
    )


def _picture(seed: int, width: int, height: int) -> Image.Image:
    """Some shapes of some colours on a slope of colour."""
    rng = np.random.default_rng(seed)
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        left, top = (int(rng.integers(0, side * 3 // 4)) for side in (width, height))
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.ellipse((left, top, left + width // 4, top + height // 4), fill=color)
    return image
