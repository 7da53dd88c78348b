"""Eight requests to a family: texts, a picture before or after its question, two pictures, several sizes."""

from __future__ import annotations

import random

from PIL import Image

from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart
from jobs.sampling import Sampling
from tools.demo_model.scenes import SIZES, make_scene, render

Asked = tuple[Request, list[Image.Image]]

#: Image part without pixels: they travel beside the request.
IMAGE = ImagePart(image_url=ImageURL(url="data:image/png;base64,"))
#: Tokens of an answer.
_TOKENS = 12


def ask(*content: str | ImagePart, max_tokens: int = _TOKENS) -> Request:
    """Return a request of one message with these texts and images, in this order."""
    parts = [TextPart(text=part) if isinstance(part, str) else part for part in content]
    messages = [Message(role="user", content=parts)]
    return Request(model="any", messages=messages, sampling=Sampling(max_tokens=max_tokens))


def eight_requests(most_pictures: int) -> dict[str, Asked]:
    """Return the requests by name. `most_pictures`: maximum number of pictures in one request."""
    first, second, third, fourth = (_picture(seed, size) for seed, size in enumerate(SIZES[:4]))
    asked: dict[str, Asked] = {
        "picture": (ask(IMAGE, "What is it?"), [first]),
        "text": (ask("Count to twenty."), []),
        "picture last": (ask("Look here:", IMAGE), [second]),
        "same picture": (ask(IMAGE, "Which colours are in this image, and where?"), [first]),
        "long text": (ask("Write a poem about the sea. " * 3), []),
        "tall picture": (ask(IMAGE, "Describe this image."), [third]),
    }
    if most_pictures > 1:
        asked["two pictures"] = (ask(IMAGE, "or", IMAGE, "?"), [fourth, first])
        asked["two more"] = (ask("Compare:", IMAGE, IMAGE), [second, third])
    else:
        asked["fourth picture"] = (ask(IMAGE, "What is missing?"), [fourth])
        asked["second again"] = (ask(IMAGE, "Is there a circle?"), [second])
    return asked


def _picture(seed: int, size: tuple[int, int]) -> Image.Image:
    rng = random.Random(seed)
    return render(make_scene(rng, size[0] / size[1]), size, rng).reduce(2)
