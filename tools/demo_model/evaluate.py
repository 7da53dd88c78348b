"""Score a vision model on scenes that were not in its training, by exact match.

    python -m tools.demo_model.evaluate jobs/models/built_in/demo --scenes 300

The exit status is 1 if a score is below its floor. Decoding is greedy, through captionq's engine.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart
from jobs.sampling import Sampling
from tools.demo_model import texts
from tools.demo_model.scenes import SIZES, Scene, make_scene, render
from worker.engine.engine import Engine
from worker.models.backends import Backend, make_backend
from worker.models.loader import load

#: Not used in training.
SEED = 20_260_731
MAX_TOKENS = 64
_PLACEHOLDER = ImagePart(image_url=ImageURL(url="data:image/png;base64,"))


@dataclass(frozen=True)
class Sample:
    """A question, its pictures, and the one right answer."""

    asked: str
    images: tuple[Image.Image, ...]
    answer: str


@dataclass(frozen=True)
class Kind:
    """A row of the table: how its samples are made, whether the text comes first, and the least share of right answers."""

    name: str
    floor: float
    sample: Callable[[Scene, Image.Image, Scene, Image.Image, random.Random], Sample]
    text_first: bool = False


def _caption(scene: Scene, image: Image.Image, _s: Scene, _i: Image.Image, rng: random.Random) -> Sample:
    return Sample(rng.choice(texts.CAPTION_PROMPTS), (image,), texts.caption(scene))


def _question(scene: Scene, image: Image.Image, _s: Scene, _i: Image.Image, rng: random.Random) -> Sample:
    asked, answer = texts.question(scene, rng)
    return Sample(asked, (image,), answer)


def _keywords(scene: Scene, image: Image.Image, _s: Scene, _i: Image.Image, rng: random.Random) -> Sample:
    return Sample(rng.choice(texts.KEYWORD_PROMPTS), (image,), texts.keywords(scene))


def _json(scene: Scene, image: Image.Image, _s: Scene, _i: Image.Image, rng: random.Random) -> Sample:
    return Sample(rng.choice(texts.JSON_PROMPTS), (image,), texts.as_json(scene))


def _pair(scene: Scene, image: Image.Image, other: Scene, second: Image.Image, rng: random.Random) -> Sample:
    asked, answer = texts.pair_question(scene, other, rng)
    return Sample(asked, (image, second), answer)


def _talk(_scene: Scene, _image: Image.Image, _s: Scene, _i: Image.Image, rng: random.Random) -> Sample:
    asked, answer = rng.choice([*texts.TALK, *texts.NO_IMAGE])
    return Sample(asked, (), answer)


KINDS = (
    Kind("captions", 0.99, _caption),
    Kind("questions", 0.99, _question),
    Kind("keywords", 0.98, _keywords),
    Kind("JSON", 0.98, _json),
    Kind("two images", 0.97, _pair),
    Kind("captions, text first", 0.98, _caption, text_first=True),
    Kind("questions, text first", 0.95, _question, text_first=True),
    Kind("two images, text first", 0.95, _pair, text_first=True),
    Kind("talk", 0.99, _talk),
)


def answers(backend: Backend, samples: list[Sample], *, text_first: bool) -> list[str]:
    """Return the model's answers, in the order of the samples."""
    engine = Engine(backend)
    waiting = list(enumerate(samples))
    found: dict[str, str] = {}
    while waiting or engine.busy:
        while waiting and engine.free:
            number, sample = waiting.pop(0)
            engine.admit(str(number), backend.prepare(_request(sample, text_first=text_first), list(sample.images)))
        for row in engine.step():
            found[row.key] = row.answer.text
    return [found[str(number)] for number in range(len(samples))]


def _request(sample: Sample, *, text_first: bool) -> Request:
    images = [_PLACEHOLDER] * len(sample.images)
    asked = TextPart(text=sample.asked)
    content = [asked, *images] if text_first else [*images, asked]
    return Request(
        model="demo", messages=[Message(role="user", content=content)], sampling=Sampling(max_tokens=MAX_TOKENS)
    )


def main() -> None:
    """Parse the arguments, score and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder, or the name of a built-in model")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    shown: list[tuple[Scene, Image.Image]] = []
    for _ in range(arguments.scenes):
        size = rng.choice(SIZES)
        scene = make_scene(rng, size[0] / size[1])
        shown.append((scene, render(scene, size, rng)))
    backend = make_backend(load(arguments.model))
    missed = False
    for kind in KINDS:
        pairs = zip(shown, [*shown[1:], shown[0]], strict=True)
        samples = [kind.sample(*first, *second, rng) for first, second in pairs]
        start = time.monotonic()
        given = answers(backend, samples, text_first=kind.text_first)
        right = sum(answer == sample.answer for answer, sample in zip(given, samples, strict=True))
        share = right / len(samples)
        missed |= share < kind.floor
        verdict = "MISSED" if share < kind.floor else "ok"
        seconds = time.monotonic() - start
        print(
            f"{kind.name:<24} {right:4}/{len(samples)}  {share:6.1%}  floor {kind.floor:.0%}  {verdict:<6} {seconds:5.0f} s"
        )
        for answer, sample in zip(given, samples, strict=True):
            if answer != sample.answer:
                print(f"    {sample.asked} | right: {sample.answer} | given: {answer}")
        sys.stdout.flush()
    sys.exit(missed)


if __name__ == "__main__":
    main()
