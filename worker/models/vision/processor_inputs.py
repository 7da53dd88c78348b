"""Arrays that a vision model's processor makes of a prompt and its images, as numpy arrays that may cross threads."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from PIL import Image

from jobs.errors import ModelError, in_words
from jobs.models.model_info import public_name
from worker.models.library_quirks import LEAST_SIDES, PER_TOKEN
from worker.models.loader import LoadedModel
from worker.models.vision.scaled_ahead import scaled_ahead


def image_token_of(config: Any) -> int | None:
    """Return the id that stands for a piece of an image in an expanded prompt; None: the config names none."""
    for name in ("image_token_id", "image_token_index"):
        if (token := getattr(config, name, None)) is not None:
            return int(token)
    return None


def process(
    loaded: LoadedModel, prompt: str, images: list[Image.Image], *, image_token: int | None, add_bos: bool
) -> dict[str, Any]:
    """Run the model's processor.

    Returns:
        Its inputs by name: `input_ids` (1, L), pixels, grids, masks.

    Raises:
        ModelError: The processor failed; the message names its error.
    """
    from mlx_vlm.utils import prepare_inputs

    least = LEAST_SIDES.get(getattr(loaded.model.config, "model_type", ""), 1)
    images = [_enlarged(image, least) for image in images]
    try:
        raw = prepare_inputs(
            loaded.processor,
            images=scaled_ahead(loaded.processor, images) or None,
            prompts=prompt,
            image_token_index=image_token,
            add_special_tokens=add_bos,
        )
    except Exception as error:
        # Processors raise errors of any type, and mlx-vlm turns each into a ValueError that does not name the type.
        cause = error.__context__ if str(error).startswith("Failed to process inputs") else None
        raise ModelError(
            f"'{public_name(loaded.info.name)}' cannot take this prompt with its images: {in_words(cause or error)}"
        ) from error
    return {name: as_numpy(value) for name, value in raw.items()}


def _enlarged(image: Image.Image, least: int) -> Image.Image:
    """Return the image with `least` pixels a side at least, in its proportions."""
    times = -(-least // min(image.size))
    return image.resize((image.width * times, image.height * times)) if times > 1 else image


def ids_of_one_prompt(input_ids: Any, model: str) -> list[int]:
    """Return the ids (1, L) as a list.

    Raises:
        ModelError: The processor made a prompt of each image, as Molmo's does.
    """
    if input_ids.ndim > 1 and len(input_ids) > 1:
        raise ModelError(
            f"'{public_name(model)}' takes one image in a request. Send one, or use another model, such as Qwen3-VL."
        )
    ids: list[int] = input_ids.reshape(-1).tolist()
    return ids


def as_numpy(value: Any) -> Any:
    """Replace mlx's arrays by numpy's, also in lists, tuples and dicts: an mlx array belongs to the thread that made it."""
    import mlx.core as mx

    if isinstance(value, dict):
        return {name: as_numpy(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_numpy(part) for part in value)
    if not isinstance(value, mx.array):
        return value
    # numpy has no bfloat16.
    return np.array(value.astype(mx.float32) if value.dtype == mx.bfloat16 else value)


def image_keys(inputs: dict[str, Any]) -> tuple[bytes, ...]:
    """Return a digest for each image's pixels if a grid says which pixels are whose, else one digest of all arrays.

    Arrays with an entry for each token are left out: another question about the image must find its features.
    """
    pixels, grids = inputs.get("pixel_values"), inputs.get("image_grid_thw")
    if not isinstance(pixels, np.ndarray):
        # None, or a list of arrays of several shapes, whose features are not remembered.
        return ()
    if grids is None:
        about = [value for name, value in inputs.items() if isinstance(value, np.ndarray) and name not in PER_TOKEN]
        return (_digest(*about),)
    ends = np.cumsum(grids.prod(axis=1)).tolist()
    starts = [0, *ends[:-1]]
    return tuple(_digest(pixels[start:end], grid) for start, end, grid in zip(starts, ends, grids, strict=True))


def _digest(*arrays: Any) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
