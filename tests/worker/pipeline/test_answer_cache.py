"""The result cache: the same question about the same pixels is answered without the model, and no other question is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.requests import Request, Sampling
from jobs.response_format import JSONObjectFormat
from jobs.settings import Settings
from jobs.store.result_cache import ResultCache
from jobs.store.store import Store
from jobs.store.tables import Job
from tests.support.scenes import draw
from worker.engine.sequences import Outcome
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

    def ask(self, request: Request, *, followed: bool = False) -> Outcome:
        """Answer a request, and store the result. `steps` counts the engine's steps, `said` holds the followed text."""
        job = Job(model=request.model, request=request.model_dump_json(), digest=request.digest)
        self._store.add([job])
        self._store.claim([job.id], "worker")
        self.pipeline.begin(job.id, request, followed=followed)
        self.said = ""
        outcomes: list[Outcome] = []
        while not outcomes:
            outcomes = self.pipeline.step()
            self.steps += self.pipeline.rows > 0
            self.said += "".join(delta.text for delta in self.pipeline.said())
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


def test_a_followed_answer_from_the_cache_is_said(asking: Asking, image: Path) -> None:
    """A client that streams gets the whole text at once."""
    request = Request.about_image(image, **ASKED)
    first = asking.ask(request, followed=True)
    assert asking.said == first.answer.text
    assert asking.ask(request, followed=True).answer.cached
    assert asking.said == first.answer.text


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
