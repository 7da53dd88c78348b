"""The result cache: the same question about the same pixels is answered without the model, and no other question is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.answer_format.response_format import JSONObjectFormat
from jobs.configuration.settings import Settings
from jobs.requests import Request
from jobs.sampling import Sampling
from jobs.store.result_cache import ResultCache
from jobs.store.store import Store
from jobs.store.tables import Job
from tests.support.scenes import draw, draw_many
from worker.engine.sequences import Outcome
from worker.models.inputs import Prepared
from worker.pipeline.near_duplicates import NearDuplicates, look_of
from worker.pipeline.pipeline import Pipeline

ASKED: dict[str, Any] = {"model": "demo", "prompt": "Describe this image.", "sampling": Sampling()}


class Asking:
    """A pipeline with a result cache, whose outcomes are stored as the worker stores them."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.cache = ResultCache(store.engine)
        self.steps = 0
        self._store = store
        self.pipeline = Pipeline(settings, self.cache.find)
        self.pipeline.load("demo")

    def ask(self, request: Request) -> Outcome:
        """Answer a request, and store the result. `steps` counts the engine's steps."""
        job = Job(model=request.model, request=request.model_dump_json(), digest=request.digest)
        self._store.add([job])
        self._store.claim([job.id], "worker")
        self.pipeline.begin(job.id, request)
        outcomes: list[Outcome] = []
        while not outcomes:
            outcomes = self.pipeline.step()
            self.steps += self.pipeline.rows > 0
        self._store.succeed(job.id, outcomes[0].answer)
        return outcomes[0]


@pytest.fixture
def asking(store: Store, settings: Settings) -> Iterator[Asking]:
    """An empty cache in front of the built-in model."""
    asking = Asking(store, settings)
    yield asking
    asking.pipeline.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A scene."""
    path = tmp_path / "scene.png"
    draw(1).image.save(path)
    return path


def test_the_same_pixels_are_answered_without_a_step_of_the_model(asking: Asking, image: Path, tmp_path: Path) -> None:
    """Under another name, in another format without loss, from another path; text and usage are the first answer's."""
    first = asking.ask(Request.about_image(image, **ASKED))
    steps = asking.steps
    other = tmp_path / "folder" / "copy.bmp"
    other.parent.mkdir()
    draw(1).image.save(other)
    again = asking.ask(Request.about_image(other, **ASKED))
    assert asking.steps == steps > 0
    assert (again.answer.text, again.answer.cached, first.answer.cached) == (first.answer.text, True, False)
    assert again.answer.completion_tokens == first.answer.completion_tokens
    stats = asking.cache.stats()
    assert (stats.answers, stats.used, stats.tokens_saved) == (1, 1, first.answer.completion_tokens)


def test_a_changed_file_is_a_new_question(asking: Asking, image: Path) -> None:
    """Even with the same name, size and times."""
    asking.ask(Request.about_image(image, **ASKED))
    draw(2).image.save(image)
    assert not asking.ask(Request.about_image(image, **ASKED)).answer.cached


def test_another_question_is_generated(asking: Asking, image: Path) -> None:
    """Another prompt, other settings, another form of the answer."""
    changes: list[dict[str, Any]] = [
        {},
        {"prompt": "What is this?"},
        {"sampling": Sampling(max_tokens=9)},
        {"response_format": JSONObjectFormat()},
        {"max_words": 2},
        {"max_characters": 9},
    ]
    for change in changes:
        assert not asking.ask(Request.about_image(image, **{**ASKED, **change})).answer.cached


def test_an_answer_that_is_not_repeatable_is_not_given_again(asking: Asking, image: Path) -> None:
    """Sampled without a seed, with log-probabilities, or not wanted by the client."""
    changes: list[dict[str, Any]] = [
        {"sampling": Sampling(temperature=0.5)},
        {"sampling": Sampling(logprobs=True)},
        {"cache": False},
    ]
    for change in [*changes, *changes]:
        assert not asking.ask(Request.about_image(image, **{**ASKED, **change})).answer.cached


def test_a_seeded_answer_is_repeatable_and_a_cleared_cache_is_empty(asking: Asking, image: Path) -> None:
    """The answers of jobs stay when the cache is cleared."""
    request = Request.about_image(image, **{**ASKED, "sampling": Sampling(temperature=0.5, seed=3)})
    asking.ask(request)
    assert asking.ask(request).answer.cached
    assert asking.cache.clear() == 1
    assert not asking.ask(request).answer.cached


class Crowd:
    """Requests that are in flight together, and the generations that they take."""

    def __init__(self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outcomes: list[Outcome] = []
        #: Keys of the requests that the engine was given, in order.
        self.generated: list[str] = []
        self._pipeline = pipeline
        engine = pipeline._engine
        assert engine is not None
        admit = engine.admit

        def count(key: str, *args: Any, **options: Any) -> None:
            self.generated.append(key)
            admit(key, *args, **options)

        monkeypatch.setattr(engine, "admit", count)

    def begin(self, images: Iterable[Path], *, urgent: bool = False, **options: Any) -> None:
        """Begin a request about each image, and wait until all are prepared, in the order of the images."""
        for image in images:
            request = Request.about_image(image, **{**ASKED, **options})
            self._pipeline.begin(image.name, request, urgent=urgent)
            under_way = self._pipeline._preparations._under_way
            wait([preparation.future for preparation in under_way])

    def finish(self) -> dict[str, tuple[str, bool]]:
        """Return the text of each request, and whether it is another's."""
        while self._pipeline.in_flight:
            self.outcomes += self._pipeline.step()
        return {one.key: (one.answer.text, one.answer.cached) for one in self.outcomes}


@pytest.fixture
def crowd(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    """No request yet."""
    return Crowd(asking.pipeline, monkeypatch)


def copies(folder: Path, seeds: Sequence[int]) -> list[Path]:
    """Draw a picture for each seed, in files `0.png`, `1.png` …"""
    paths = [folder / f"{number}.png" for number in range(len(seeds))]
    for path, seed in zip(paths, seeds, strict=True):
        draw(seed).image.save(path)
    return paths


def test_duplicates_in_flight_are_generated_once(crowd: Crowd, tmp_path: Path) -> None:
    """Each gets the text; the others are marked. Urgent requests wait for no other, and go first."""
    crowd.begin(copies(tmp_path, (1, 2, 1, 1, 2)))
    texts = crowd.finish()
    assert crowd.generated == ["0.png", "1.png"]
    assert {key: text for key, (text, _) in texts.items()} == {
        f"{number}.png": draw(seed).caption for number, seed in enumerate((1, 2, 1, 1, 2))
    }
    assert [key for key, (_, cached) in sorted(texts.items()) if cached] == ["2.png", "3.png", "4.png"]
    first, *others = copies(tmp_path, (3, 3, 3))
    crowd.begin([first])
    crowd.begin(others, urgent=True)
    crowd.finish()
    assert crowd.generated[2:] == ["1.png", "2.png"]


def test_a_duplicate_is_generated_if_the_first_is_cancelled(crowd: Crowd, asking: Asking, tmp_path: Path) -> None:
    """The next one becomes the first; a cancelled duplicate has no outcome, and nothing stays in flight."""
    crowd.begin(copies(tmp_path, (1, 1, 1, 1)))
    crowd.outcomes += asking.pipeline.step()
    asking.pipeline.cancel("2.png")
    asking.pipeline.cancel("0.png")
    texts = crowd.finish()
    assert crowd.generated == ["0.png", "1.png"]
    assert texts == {"1.png": (draw(1).caption, False), "3.png": (draw(1).caption, True)}
    crowd.begin(copies(tmp_path, (1, 1)), cache=False)
    crowd.outcomes.clear()
    asking.pipeline.clear()
    assert asking.pipeline.in_flight == 0


def test_an_answer_with_a_flaw_is_not_given_to_duplicates(crowd: Crowd, tmp_path: Path) -> None:
    """Each is generated: the flaw may be its image's."""
    crowd.begin(copies(tmp_path, (1, 1)), sampling=Sampling(max_tokens=2))
    crowd.finish()
    assert crowd.generated == ["0.png", "1.png"]


def test_images_that_look_the_same_are_generated_once_on_request(crowd: Crowd, tmp_path: Path) -> None:
    """Saved with loss, scaled or a little brighter. Without the option each is generated."""
    image = draw(1).image
    variants = [tmp_path / name for name in ("0.png", "1.jpg", "2.png", "3.png", "4.png")]
    image.save(variants[0])
    image.save(variants[1], quality=60)
    image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(variants[2])
    image.point(lambda level: min(255, level + 8)).save(variants[3])
    draw(2).image.save(variants[4])
    crowd.begin(variants, near_duplicates=True)
    texts = crowd.finish()
    assert crowd.generated == ["0.png", "4.png"]
    assert {text for key, (text, _) in texts.items() if key != "4.png"} == {draw(1).caption}
    assert [key for key, (_, cached) in sorted(texts.items()) if cached] == ["1.jpg", "2.png", "3.png"]
    crowd.begin(variants[1:2])
    crowd.finish()
    assert crowd.generated[2:] == ["1.jpg"]


def test_images_that_do_not_look_the_same_are_told_apart() -> None:
    """Of 200 scenes and plain pictures, only those of the same empty background look the same."""
    looks, scenes = NearDuplicates(), draw_many(200)
    colours = ("red", "green", "blue", "white", "black")
    pictures = [scene.image.convert("RGB") for scene in scenes] + [Image.new("RGB", (64, 64), one) for one in colours]
    captions = [*(scene.caption for scene in scenes), *colours]
    keys = [
        looks.canonical(Prepared([], 0, Sampling(), cache_key=str(number), look=("question", look_of(picture))))
        for number, picture in enumerate(pictures)
    ]
    others = {number: int(key or 0) for number, key in enumerate(keys) if key != str(number)}
    assert all(captions[number] in captions[other] for number, other in others.items())
    assert {captions[other].split()[1] for other in others.values()} == {"empty"}
