"""The prompts that a model is tried out on, prepared as requests are: in another thread."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from jobs.requests import ImagePart, ImageURL, Message, Request, Sampling, TextPart
from worker.models.backends import Backend
from worker.models.inputs import Prepared

#: Tokens that each row may decode.
MAX_TOKENS = 8
_IMAGE = ImagePart(image_url=ImageURL(url="data:image/png;base64,"))


@dataclass(frozen=True)
class Trial:
    """Prepared prompts."""

    rows: list[Prepared]
    #: One with two images; None: it is a text-only model, or cannot prepare it.
    two_images: Prepared | None


def prepare_trial(backend: Backend, *, sees: bool) -> Trial:
    """Prompts of several lengths; with pictures of several sizes, before and after the text, two of them, and none.

    mlx arrays belong to the thread that made them: what a processor leaves of them fails here as it would in a job.
    Raises what goes wrong with any but that of two images.
    """
    with ThreadPoolExecutor(1) as thread:
        rows = [thread.submit(backend.prepare, *row).result() for row in _rows(sees)]
        if not sees:
            return Trial(rows, None)
        two = thread.submit(backend.prepare, *_two_images())
        return Trial(rows, None if two.exception() is not None else two.result())


def _rows(sees: bool) -> Iterator[tuple[Request, list[Image.Image]]]:
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
    """Some shapes of some colours on a slope of colour."""
    rng = np.random.default_rng(seed)
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        left, top = (int(rng.integers(0, side * 3 // 4)) for side in (width, height))
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.ellipse((left, top, left + width // 4, top + height // 4), fill=color)
    return image
