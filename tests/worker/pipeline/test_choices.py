"""Several sampled answers to one request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import ContextLengthError, EngineError
from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart
from jobs.sampling import Sampling
from jobs.store.result import Result
from tests.support.families import save_model
from tests.support.scenes import draw_many
from worker.engine.prefill import prefill_group
from worker.engine.prefill.chunked_prefill import Prefill
from worker.engine.sequences import Outcome
from worker.pipeline.choices import _sampling
from worker.pipeline.pipeline import Pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A pipeline with the vision model."""
    pipeline = Pipeline(Settings(data_dir=tmp_path_factory.mktemp("choices")))
    pipeline.load("demo")
    yield pipeline
    pipeline.close()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture file."""
    (drawn,) = draw_many(1)
    drawn.image.save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def asked(picture: Path, choices: int, text: str = "Describe this image.", **sampling: Any) -> Request:
    """Return a question about a picture, with sampled answers."""
    parts = [ImagePart(image_url=ImageURL(url=picture.as_uri())), TextPart(text=text)]
    sampled = Sampling(max_tokens=24, temperature=1.5, **sampling)
    return Request(model="demo", messages=[Message(role="user", content=parts)], sampling=sampled, choices=choices)


def run(pipeline: Pipeline, requests: dict[str, Request], *, steps: int | None = None) -> dict[str, Outcome]:
    """Answer requests; return the outcomes by key."""
    for key, request in requests.items():
        pipeline.begin(key, request, urgent=True, followed=True)
    outcomes: dict[str, Outcome] = {}
    while pipeline.in_flight and (steps is None or steps > 0):
        outcomes |= {outcome.key: outcome for outcome in pipeline.step()}
        steps = None if steps is None else steps - 1
    return outcomes


def texts_of(result: Result) -> list[str]:
    """Return the texts of all answers."""
    return [result.text, *(one["text"] for one in result.choices or ())]


def test_each_choice_is_the_answer_of_its_own_seed(
    pipeline: Pipeline, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompt is prefilled once, and each answer is that of a request of its own with the derived seed."""
    prompts: list[int] = []

    class Counted(Prefill):
        def __init__(self, model: Any, given: Sequence[Any], *more: Any) -> None:
            prompts.append(len(given))
            super().__init__(model, given, *more)

    monkeypatch.setattr(prefill_group, "Prefill", Counted)
    together = run(pipeline, {"job": asked(picture, 8, seed=7)})["job"].answer
    assert prompts == [1]
    assert len(set(texts_of(together))) > 2
    seeds = [_sampling(Sampling(seed=7), number).seed for number in range(8)]
    assert seeds[0] == 7
    single = run(pipeline, {str(number): asked(picture, 1, seed=seed) for number, seed in enumerate(seeds)})
    assert texts_of(together) == [single[str(number)].answer.text for number in range(8)]
    assert together.completion_tokens == sum(one.answer.completion_tokens for one in single.values())
    assert together.prompt_tokens == single["0"].answer.prompt_tokens


def test_text_of_each_choice_is_followed(pipeline: Pipeline, picture: Path) -> None:
    """Each piece has the number of its answer and the request's key."""
    pipeline.begin("job", asked(picture, 3, seed=1), urgent=True, followed=True)
    grown = {0: "", 1: "", 2: ""}
    outcome = None
    while outcome is None:
        outcome = next(iter(pipeline.step()), None)
        for delta in pipeline.said():
            assert delta.key == "job"
            assert delta.at == len(grown[delta.choice])
            grown[delta.choice] += delta.text
    for text, whole in zip(grown.values(), texts_of(outcome.answer), strict=True):
        assert text
        assert whole.startswith(text)


def test_cancelling_ends_all_choices(pipeline: Pipeline, picture: Path) -> None:
    """No sequence of a cancelled request goes on."""
    requests = {"job": asked(picture, 4, seed=1, logit_bias={0: -100, 2: -100})}
    run(pipeline, requests, steps=12)
    while pipeline.rows < 4:
        pipeline.step()
    pipeline.cancel("job")
    assert (pipeline.in_flight, pipeline.rows) == (0, 0)
    assert pipeline.step() == []


def test_the_fault_of_one_choice_is_the_requests(
    pipeline: Pipeline, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request fails once, and its other sequences are dropped."""
    engine = pipeline._engine
    assert engine is not None
    advance = engine._answers.advance

    def faulty(sequence: Any, token: Any) -> Any:
        if sequence.key == "job#2" and len(sequence.tokens) == 3:
            return Outcome(sequence.key, error=EngineError("broken"))
        return advance(sequence, token)

    monkeypatch.setattr(engine._answers, "advance", faulty)
    outcomes = run(pipeline, {"job": asked(picture, 4, seed=1)})
    assert isinstance(outcomes["job"].error, EngineError)
    assert (list(outcomes), pipeline.rows) == (["job"], 0)


@pytest.mark.filterwarnings("ignore:.*use_fast.*")
def test_a_prompt_that_all_choices_share_may_be_refused(picture: Path, tmp_path: Path) -> None:
    """All answers fail in one step when the embedded image makes the prompt too long: the request fails once."""
    settings = Settings(data_dir=tmp_path / "data", max_prompt_tokens=30)
    settings.make_folders()
    pipeline = Pipeline(settings)
    model = str(save_model("fastvlm", tmp_path / "fastvlm"))
    pipeline.load(model)
    try:
        pipeline.begin("job", asked(picture, 3, text="red " * 8).model_copy(update={"model": model}), urgent=True)
        outcomes: list[Outcome] = []
        while pipeline.in_flight:
            outcomes += pipeline.step()
        assert [outcome.key for outcome in outcomes] == ["job"]
        assert isinstance(outcomes[0].error, ContextLengthError)
        assert pipeline.step() == []
    finally:
        pipeline.close()
