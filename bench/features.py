"""A second question about pictures that the model has seen, with the feature cache and without: CPU seconds, and equal answers.

    python -m bench.features MODEL [--images 200] [--rounds 3]

One process; decoding of the pictures and loading of the model are not measured, reading and writing the cache are. Rounds of both
ways take turns. What the process itself remembers of pictures is forgotten before each question.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.tasks import PROMPT
from cli.benchmark.pictures import save_pictures
from jobs.configuration.settings import Settings
from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart
from jobs.sampling import Sampling
from worker.engine.engine import Engine
from worker.features.feature_cache import FeatureCache
from worker.features.feature_files import feature_files
from worker.models.backends import Backend
from worker.models.inputs import Prepared
from worker.pipeline.resident_models import ResidentModels
from worker.pixels.decode import decode

_QUESTIONS = (PROMPT, "Which colours are there?")
_PICTURE = ImagePart(image_url=ImageURL(url="data:image/png;base64,"))
_ROOM = 10**12


def main() -> None:
    """Parse the arguments and print the figures."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", help="the folder that bench.model wrote, or another model")
    made.add_argument("--images", type=int, default=200)
    made.add_argument("--max-tokens", type=int, default=32)
    made.add_argument("--rounds", type=int, default=3)
    arguments = made.parse_args()
    with TemporaryDirectory() as folder:
        print(json.dumps(measure(arguments, Path(folder)), indent=1))


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Ask both questions in both ways. Raises RuntimeError if an answer differs."""
    settings = Settings(data_dir=folder / "data")
    settings.make_folders()
    models = ResidentModels(settings)
    engine = models.get(arguments.model).engine
    pictures = save_pictures(folder / "pictures", arguments.images)
    first, second = (_prepared(engine.backend, settings, pictures, asked, arguments) for asked in _QUESTIONS)
    seconds: dict[str, list[float]] = {"without": [], "with": [], "first, writing": []}
    size = 0
    for number in range(arguments.rounds):
        plain, answers = _ask(engine, second)
        features = folder / f"features-{number}"
        writing, _ = _ask(engine, first, FeatureCache(features, _ROOM, "model"))
        kept, same = _ask(engine, second, FeatureCache(features, _ROOM, "model"))
        if same != answers:
            raise RuntimeError("An answer differs.")
        size = sum(file.size for file in feature_files(features))
        for name, value in zip(seconds, (plain, kept, writing), strict=True):
            seconds[name].append(value / len(pictures))
    return {
        "images": len(pictures),
        "cpu_seconds_per_image": {name: statistics.median(values) for name, values in seconds.items()},
        "ratio": statistics.median(a / b for a, b in zip(seconds["without"], seconds["with"], strict=True)),
        "bytes_per_image": size / len(pictures),
        "rounds": seconds,
    }


def _prepared(
    backend: Backend, settings: Settings, pictures: Sequence[Path], question: str, arguments: argparse.Namespace
) -> list[Prepared]:
    messages = [Message(role="user", content=[_PICTURE, TextPart(text=question)])]
    request = Request(model="any", messages=messages, sampling=Sampling(max_tokens=arguments.max_tokens))
    return [backend.prepare(request, [decode(path, settings)]) for path in pictures]


def _ask(
    engine: Engine, prepared: Sequence[Prepared], cache: FeatureCache | None = None
) -> tuple[float, dict[str, tuple[int, ...]]]:
    """Ask about all pictures; return the CPU seconds, all threads included, and the ids of the answers."""
    engine.backend.forget()
    engine.backend.keep_features(cache)
    waiting, ids = list(enumerate(prepared)), {}
    begun = time.process_time()
    while waiting or engine.busy:
        while waiting and engine.free > 0:
            number, one = waiting.pop(0)
            engine.admit(str(number), one)
        for outcome in engine.step(coming=bool(waiting)):
            ids[outcome.key] = outcome.token_ids
    if cache is not None:
        cache.close()
    return time.process_time() - begun, ids


if __name__ == "__main__":
    main()
