"""The model's own log-probabilities, before any rule had its way with the logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from worker.rules import rows_of


def logprobs(
    logits: Any, tokens: Any, rows: Sequence[int], most: int
) -> tuple[mx.array, mx.array | None, mx.array | None]:
    """Of the chosen tokens (B,), and of the `most` likeliest: their ids and log-probabilities (B, most), the likeliest first.

    They come from the logits (B, V) in float32. Only `rows` are computed; in the others stands what means nothing.
    """
    raw = rows_of(logits, rows).astype(mx.float32)
    norm = mx.logsumexp(raw, axis=-1, keepdims=True)
    # A row that did not ask is given those of the first that did.
    places = {row: place for place, row in enumerate(rows)}
    spread = mx.array([places.get(row, 0) for row in range(logits.shape[0])], dtype=mx.int32)
    chosen = rows_of(tokens, rows)[:, None]
    chosen_logprobs = (mx.take_along_axis(raw, chosen, axis=-1) - norm)[:, 0][spread]
    if not most:
        return chosen_logprobs, None, None
    some = mx.argpartition(-raw, most - 1, axis=-1)[:, :most]
    order = mx.argsort(-mx.take_along_axis(raw, some, axis=-1), axis=-1)
    top = mx.take_along_axis(some, order, axis=-1)
    top_logprobs = mx.take_along_axis(raw, top, axis=-1) - norm
    return chosen_logprobs, top[spread], top_logprobs[spread]
