"""The ids of a prompt's computed columns, if its images take more or fewer columns than the processor's ids.

FastVLM's processor writes one id for an image and LLaVA-NeXT's some hundred; both models compute a column for each feature of
the image instead. So positions, prefixes, penalties, `prompt_tokens` and the context must count columns, not the processor's ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import mlx.core as mx

from jobs.errors import ModelError

#: A function from ids (1, L) without images to their embeddings (1, L, D).
EmbedText = Callable[[Any], Any]


def columns_of(
    ids: Sequence[int], embeds: Any, image_token: int | None, embed_text: EmbedText, family: str
) -> list[int]:
    """Return for each column of `embeds` (1, E, D) the index of its id.

    Raises:
        ModelError: The text's embeddings, which are compared, are not in the columns that follow from the ids.
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
    """Give the inputs that have an entry for each of `length` ids (1, L) an entry for each column instead."""
    index = mx.array(list(columns))
    return {
        name: value[:, index] if isinstance(value, mx.array) and value.shape == (1, length) else value
        for name, value in options.items()
    }


def _stretched(ids: Sequence[int], width: int, image_token: int) -> list[int] | None:
    """Return the ids' indices with each run of image tokens lengthened or shortened equally; None: `width` does not allow it."""
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
        f"Models of the family '{family}' do not put the images of this prompt in their places in the text: "
        f"{len(ids)} tokens became {width}. Send one image a request, or use another model."
    )
