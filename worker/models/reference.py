"""Reference answers: the libraries' own loop over one sequence, with which captionq's ways of batching are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from worker.models.inputs import Prepared
from worker.models.loader import LoadedModel
from worker.models.vision.embedding import as_mlx

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """The logits (T, V) of one sequence after the prompt and after each token except the last, and the T likeliest tokens."""

    logits: Logits
    tokens: list[int]


def reference_of(loaded: LoadedModel, prepared: Prepared, tokens: int) -> Reference:
    """Decode `tokens` tokens greedily with the library's own embedding, prefill, caches and positions. Raises its errors."""
    noted: list[Any] = []

    def note(_: Any, logits: Any) -> Any:
        noted.append(logits)
        return logits

    decode = _vision if loaded.info.modality == "vision" else _text
    steps = decode(loaded, prepared, tokens, note)
    chosen = [int(token) for token, _ in islice(steps, tokens)]
    logits = mx.concatenate(noted[:tokens]).astype(mx.float32)
    return Reference(np.array(logits), chosen)


def _vision(loaded: LoadedModel, prepared: Prepared, tokens: int, note: Any) -> Iterator[tuple[Any, Any]]:
    from mlx_vlm.generate import generate_step

    ids = mx.array([prepared.source_ids])
    inputs = {name: as_mlx(value, ids.size, ids.size) for name, value in prepared.inputs.items()}
    pixels = inputs.pop("pixel_values", None)
    # mlx-vlm's own command also gives a mask: some families count their positions by it.
    mask = mx.ones_like(ids)
    yield from generate_step(
        ids, loaded.model, pixels, mask, max_tokens=tokens, temperature=0.0, logits_processors=[note], **inputs
    )


def _text(loaded: LoadedModel, prepared: Prepared, tokens: int, note: Any) -> Iterator[tuple[Any, Any]]:
    from mlx_lm.generate import generate_step

    yield from generate_step(mx.array(prepared.ids), loaded.model, max_tokens=tokens, logits_processors=[note])
