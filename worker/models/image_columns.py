"""Prompts whose images take more columns, or fewer, than the processor gave them ids: the ids are made to fit.

FastVLM keeps one id an image and LLaVA-NeXT some hundred, and both put all features of the image in their place. Everything that
is counted by ids (positions, prefixes, penalties, `prompt_tokens`, the context) must speak of the columns that are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import mlx.core as mx

from jobs.errors import ModelError

#: From ids (1, L) without images to their embeddings (1, L, D).
EmbedText = Callable[[Any], Any]


def columns_of(
    ids: Sequence[int], embeds: Any, image_token: int | None, embed_text: EmbedText, family: str
) -> list[int]:
    """For each column of `embeds` (1, E, D), the index of the id that it belongs to.

    The text's embeddings must stand where the ids say; they are compared. Raises ModelError when they do not.
    """
    width = embeds.shape[1]
    if image_token is None or image_token not in ids:
        raise _misplaced(ids, width, family)
    columns = _stretched(ids, width, image_token)
    if columns is None:
        raise _misplaced(ids, width, family)
    plain = embed_text(mx.array([[0 if token == image_token else token for token in ids]]))
    text = [at for at, source in enumerate(columns) if ids[source] != image_token]
    sources = [columns[at] for at in text]
    found, wanted = embeds[:, mx.array(text)], plain[:, mx.array(sources)]
    if not mx.array_equal(found.astype(mx.float32), wanted.astype(mx.float32)):
        raise _misplaced(ids, width, family)
    return columns


def fill(options: dict[str, Any], columns: Sequence[int], length: int) -> dict[str, Any]:
    """The inputs with an entry for each column, where they had one for each of `length` ids: (1, L)."""
    index = mx.array(list(columns))
    return {
        name: value[:, index] if isinstance(value, mx.array) and value.shape == (1, length) else value
        for name, value in options.items()
    }


def _stretched(ids: Sequence[int], width: int, image_token: int) -> list[int] | None:
    """The ids' indices, with each run of image tokens made longer or shorter by as much; None: that cannot be."""
    runs = [
        (image, [at for at, _ in run])
        for image, run in groupby(enumerate(ids), key=lambda pair: pair[1] == image_token)
    ]
    images = sum(image for image, _ in runs)
    each, rest = divmod(width - len(ids), images)
    if rest or any(len(run) + each < 1 for image, run in runs if image):
        return None
    columns: list[int] = []
    for image, run in runs:
        columns += (run + [run[-1]] * each)[: len(run) + each] if image else run
    return columns


def _misplaced(ids: Sequence[int], width: int, family: str) -> ModelError:
    return ModelError(
        f"Models of the family '{family}' put the images of this prompt elsewhere than its text says: "
        f"{len(ids)} tokens became {width}. Send one image a request, or take another model."
    )
