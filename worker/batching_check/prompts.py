"""The prompts of the batching check, prepared in another thread, as requests are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart
from jobs.sampling import Sampling
from worker.models.backends import Backend
from worker.models.inputs import Prepared

#: Tokens that each sequence may decode.
MAX_TOKENS = 8
_IMAGE = ImagePart(image_url=ImageURL(url="data:image/png;base64,"))


@dataclass(frozen=True)
class CheckPrompts:
    """Prepared prompts."""

    prompts: list[Prepared]
    #: A prompt with two images; None: the model is text-only, or cannot prepare such a prompt.
    two_images: Prepared | None


def prepare_prompts(backend: Backend, *, sees: bool) -> CheckPrompts:
    """Prepare prompts of several lengths; for a vision model with images of several sizes, before and after the text.

    mlx arrays belong to the thread that made them: arrays that a processor leaves in its output fail here as they would in a
    job. Raises any error, except those of the prompt with two images.
    """
    with ThreadPoolExecutor(1) as thread:
        prompts = [thread.submit(backend.prepare, *one).result() for one in _requests(sees)]
        if not sees:
            return CheckPrompts(prompts, None)
        two = thread.submit(backend.prepare, *_two_images())
        return CheckPrompts(prompts, None if two.exception() is not None else two.result())


def _requests(sees: bool) -> Iterator[tuple[Request, list[Image.Image]]]:
    yield _request("Name three colours."), []
    yield _request("What is the capital of France? Answer in one short sentence, and say why it is so."), []
    if not sees:
        yield _request("Count."), []
        yield _request("Write a poem about the sea. " * 4), []
        return
    wide, tall, square = _picture(0, 224, 112), _picture(1, 112, 280), _picture(2, 168, 168)
    yield _request(_IMAGE, "Describe this image."), [wide]
    yield _request("Which shapes are in this image, and where?", _IMAGE), [tall]
    yield _request(_IMAGE, "What is it?"), [square]


def _two_images() -> tuple[Request, list[Image.Image]]:
    return _request(_IMAGE, "or", _IMAGE, "?"), [_picture(2, 168, 168), _picture(0, 224, 112)]


def _request(*content: str | ImagePart) -> Request:
    parts = [TextPart(text=part) if isinstance(part, str) else part for part in content]
    message = Message(role="user", content=parts)
    return Request(model="any", messages=[message], sampling=Sampling(max_tokens=MAX_TOKENS))


def _picture(seed: int, width: int, height: int) -> Image.Image:
    """Draw some shapes of some colours on a gradient."""
    rng = np.random.default_rng(seed)
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        left, top = (int(rng.integers(0, side * 3 // 4)) for side in (width, height))
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.ellipse((left, top, left + width // 4, top + height // 4), fill=color)
    return image
