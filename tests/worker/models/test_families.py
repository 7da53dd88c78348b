"""Families of vision models: batches of their sequences against mlx-vlm's own loop over one sequence at a time."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.answer_format.response_format import JSONSchema, JSONSchemaFormat
from jobs.errors import ContextLengthError, InvalidRequestError
from jobs.models.batching_verdicts import Batching
from jobs.requests import Message, Request
from jobs.sampling import Sampling
from tests.support.families import FAMILIES, save_model
from tests.support.faults import Breaking
from tests.support.scenes import draw_many
from tests.worker.engine.test_exactness import IMAGE, AskedSequence, ids_of, mixed_rows, request, run
from tools.families.measuring import alone
from worker.batching_check.check import examine
from worker.engine.engine import Engine
from worker.engine.prefill.prefill_chunk_size import MOST_TOKENS
from worker.engine.sequences import Outcome
from worker.models.backends import VisionBackend
from worker.models.inputs import Prepared
from worker.models.loader import LoadedModel, load

#: Families that take one image a request.
ONE_IMAGE = ("llava_next", "fastvlm")

#: Warnings of transformers about arguments that mlx-vlm passes.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{said}.*") for said in ("use_fast", "mel filter", "return_numpy", "getdata")
]


class References(dict[str, dict[str, list[int]]]):
    """The ids that mlx-vlm gives each sequence by itself, by family and key; computed at the family's first use."""

    def __init__(self, models: dict[str, LoadedModel]) -> None:
        super().__init__()
        self._models = models

    def __missing__(self, family: str) -> dict[str, list[int]]:
        model = self._models[family]
        self[family] = {key: alone(model, sequence) for key, sequence in sequences_for(family).items()}
        return self[family]


@pytest.fixture(scope="module")
def references(models: dict[str, LoadedModel]) -> dict[str, dict[str, list[int]]]:
    """The answers of mlx-vlm that the tests of this file share."""
    return References(models)


def sequences_for(family: str) -> dict[str, AskedSequence]:
    """Return sequences of every kind that the family takes."""
    return {key: asked for key, asked in mixed_rows(2).items() if len(asked[1]) < 2 or family not in ONE_IMAGE}


def prepared_elsewhere(backend: VisionBackend, asked: dict[str, AskedSequence]) -> dict[str, Prepared]:
    """Prepare the sequences in another thread, as in the worker: mlx arrays belong to the thread that made them."""
    with ThreadPoolExecutor(1) as thread:
        return dict(zip(asked, thread.map(lambda sequence: backend.prepare(*sequence), asked.values()), strict=True))


#: Families that are prefilled and decoded as another one here: `qwen2_vl`, `llava_next`.
RELATIVES = ("qwen2_5_vl", "llava")
#: Families that the library treats unlike the others: by deepstack features, by inputs for each token, by caches without padding.
DISTINCT = ("qwen3_vl", "gemma4", "lfm2_vl", "llava_next", "glm4v")
#: Chunks ask more of a family than whole prompts, which `test_batching_check.py` has too.
CHUNKED = [
    *(pytest.param(family, 8, marks=[pytest.mark.thorough] if family in RELATIVES else []) for family in FAMILIES),
    *(
        pytest.param(family, MOST_TOKENS, marks=[] if family in DISTINCT else [pytest.mark.thorough])
        for family in FAMILIES
    ),
]


@pytest.mark.parametrize(("family", "chunk"), CHUNKED)
def test_a_batch_gives_what_mlx_vlm_gives_one_at_a_time(
    models: dict[str, LoadedModel],
    references: dict[str, dict[str, list[int]]],
    family: str,
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sequences have an image, two or none, text first or last, and join late; prompts are prefilled whole or in chunks."""
    assert len({tuple(ids) for ids in references[family].values()}) == len(references[family])
    monkeypatch.setattr("worker.engine.prefill.prefill_chunk_size.MOST_TOKENS", chunk)
    backend = VisionBackend(models[family])
    prepared = prepared_elsewhere(backend, sequences_for(family))
    assert ids_of(run(Engine(backend, slots=8), prepared)) == references[family]
    assert ids_of(run(Engine(backend, slots=3), prepared, every=4)) == references[family]


# The random weights of LLaVA name its image marker in most of their answers.
@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=[] if family in DISTINCT else [pytest.mark.thorough])
        for family in FAMILIES
        if family != "llava"
    ],
)
def test_sequences_of_a_broken_batch_go_on_after_their_last_token(
    models: dict[str, LoadedModel], references: dict[str, dict[str, list[int]]], family: str
) -> None:
    """Every family goes on from the prompt and the generated tokens. The batch breaks when nearly all sequences decode."""
    backend = Breaking(models[family], {16})
    prepared = prepared_elsewhere(backend, sequences_for(family))
    finished = run(Engine(backend, slots=8), prepared)
    failed = {key for key, sequence in finished.items() if sequence.error is not None}
    # Random weights may answer with an image marker, which would be taken for an image when the sequence goes on.
    assert all(backend._image_token in references[family][key] for key in failed)
    assert len(failed) <= 1
    whole = {key: sequence for key, sequence in finished.items() if key not in failed}
    assert ids_of(whole) == {key: references[family][key] for key in whole}


def test_a_config_that_leaves_out_the_vocabulary_takes_structured_output(tmp_path: Path) -> None:
    """Gemma 3's own config does: the library's default is wider than the tokenizer, and other sequences are not affected."""
    backend = VisionBackend(load(str(save_model("gemma3", tmp_path, says_vocabulary=False))))
    width = backend.language_model.config.vocab_size
    assert width > 200_000 > len(backend.tokenizer)
    schema: dict[str, Any] = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    schema["additionalProperties"] = False
    asked = Request(
        model="any",
        messages=[Message(role="user", content="Is it so?")],
        sampling=Sampling(max_tokens=30),
        response_format=JSONSchemaFormat(json_schema=JSONSchema(name="answer", schema=schema)),
    )
    plain = asked.model_copy(
        update={"response_format": None, "sampling": Sampling(max_tokens=4, logit_bias={width - 1: 100.0})}
    )
    finished = run(Engine(backend), {"json": backend.prepare(asked, []), "plain": backend.prepare(plain, [])})
    assert json.loads(finished["json"].answer.text).keys() == {"ok"}
    assert finished["plain"].token_ids == (width - 1,) * 4
    beyond = plain.model_copy(update={"sampling": Sampling(logit_bias={width: 1.0})})
    with pytest.raises(InvalidRequestError, match=f"ends at {width - 1}"):
        backend.prepare(beyond, [])


@pytest.mark.parametrize("family", ONE_IMAGE)
def test_tokens_are_counted_as_they_are_computed(models: dict[str, LoadedModel], family: str) -> None:
    """Usage and context count computed columns if images take more columns than the processor's ids."""
    backend = VisionBackend(models[family])
    picture = draw_many(1)[0].image

    def answer(words: int) -> tuple[Prepared, Outcome]:
        asked = request(IMAGE, "red " * words, max_tokens=400)
        prepared = prepared_elsewhere(backend, {"only": (asked, [picture])})
        return prepared["only"], run(Engine(backend, slots=2), prepared)["only"]

    before, short = answer(1)
    more = short.answer.prompt_tokens - len(before.ids)
    assert short.answer.image_tokens == before.image_tokens + more
    assert more > 0
    # The computed columns leave room for a part of the answer, and the sequence ends at the end of the context.
    words = 2048 - short.answer.prompt_tokens - 8
    _, long = answer(words)
    assert long.answer.prompt_tokens + long.answer.completion_tokens == 2048
    # The processor's ids would fit, but the computed columns do not.
    too_long, refused = answer(words + 10)
    assert len(too_long.ids) < 2048
    assert isinstance(refused.error, ContextLengthError)
    assert re.search(r"The prompt has 20\d\d tokens", refused.error.message)


def test_a_sequence_that_proves_too_long_fails_and_no_other(models: dict[str, LoadedModel]) -> None:
    """The error has the number that the settings allow; the prefill group goes on without the sequence."""
    backend = VisionBackend(models["llava_next"])
    prepared = prepared_elsewhere(backend, sequences_for("llava_next"))
    expected = ids_of(run(Engine(backend, slots=8), prepared))
    backend.max_prompt_tokens = 658
    finished = run(Engine(backend, slots=8), prepared)
    error = finished.pop("image-0").error
    assert isinstance(error, ContextLengthError)
    assert "659 tokens (640 for images); 658 are allowed" in error.message
    assert ids_of(finished) == {key: expected[key] for key in finished}


@pytest.mark.parametrize("family", ONE_IMAGE)
def test_images_whose_places_are_not_known_fail_only_their_sequence(
    models: dict[str, LoadedModel], family: str
) -> None:
    """mlx-vlm misplaces the second image or leaves it out, without an error."""
    backend = VisionBackend(models[family])
    prepared = prepared_elsewhere(backend, mixed_rows(2))
    finished = run(Engine(backend, slots=8), prepared)
    failed = {key: sequence.error for key, sequence in finished.items() if sequence.error is not None}
    assert failed.keys() == {"two-0", "two-1"}
    assert all(f"the family '{models[family].config['model_type']}'" in error.message for error in failed.values())


@pytest.mark.parametrize("family", ["gemma4", "glm4v", "qwen3_vl"])
def test_a_text_among_pictures_takes_no_more_steps(models: dict[str, LoadedModel], family: str) -> None:
    """Sequences with pictures may have inputs for each token that texts lack, so they do not share a forward pass."""
    backend = VisionBackend(models[family])
    picture = draw_many(1)[0].image
    pictures = {str(number): (request(IMAGE, f"Number {number}?"), [picture]) for number in range(7)}
    prepared = prepared_elsewhere(backend, {**pictures, "text": (request("Count to twenty."), [])})
    for order in (list(prepared), list(reversed(prepared))):
        engine = Engine(backend, slots=8)
        for key in order:
            engine.admit(key, prepared[key])
        steps = 0
        while engine.busy:
            assert all(sequence.error is None for sequence in engine.step())
            steps += 1
        # 20 tokens of each sequence, and a few steps to prefill them.
        assert steps < 40


def test_positions_that_a_model_keeps_belong_to_their_sequence(
    models: dict[str, LoadedModel], references: dict[str, dict[str, list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The family is not known to keep positions here, and other sequences are embedded between two parts of a prompt."""
    monkeypatch.setattr("worker.models.library_quirks.KEEPS_POSITIONS", frozenset())
    backend = VisionBackend(models["glm4v"])
    verdict = examine(backend, sees=True)
    assert verdict.batching is not Batching.TOGETHER
    assert verdict.whole_prompts
    backend.whole_prompts, backend.shares_prefixes = True, False
    prepared = prepared_elsewhere(backend, sequences_for("glm4v"))
    engine = Engine(backend, slots=1 if verdict.batching is Batching.ALONE else 8, group=1)
    finished: dict[str, Outcome] = {}
    for number, (key, sequence) in enumerate(prepared.items()):
        engine.admit(key, sequence, urgent=number % 2 == 1)
        finished |= {ended.key: ended for ended in engine.step()}
    assert ids_of(finished | run(engine, {})) == references["glm4v"]


@pytest.mark.parametrize("family", ["glm_ocr", "qwen3_vl"])
def test_a_sequence_that_decodes_by_itself_counts_from_its_own_prompt(
    models: dict[str, LoadedModel], family: str
) -> None:
    """A longer prompt with a picture comes and goes meanwhile, and the model keeps its positions."""
    backend = VisionBackend(models[family])
    picture = draw_many(1)[0].image
    asked = {"stays": (request("Count."), []), "goes": (request(IMAGE, "red " * 60, max_tokens=1), [picture])}
    prepared = prepared_elsewhere(backend, asked)
    engine = Engine(backend, slots=4)
    engine.admit("stays", prepared["stays"])
    while engine.decoding < 1:
        assert engine.step() == []
    engine.admit("goes", prepared["goes"])
    finished = ids_of({ended.key: ended for _ in range(80) for ended in engine.step()})
    assert finished["stays"] == alone(models[family], asked["stays"])


@pytest.mark.parametrize("family", ["kimi_vl", "llava-qwen2"])
def test_a_picture_that_is_too_small_for_its_processor_is_enlarged(models: dict[str, LoadedModel], family: str) -> None:
    """Icons and thin banners are answered about like any picture."""
    backend = VisionBackend(models[family])
    red, blue = (Image.new("RGB", (1, 1), colour) for colour in ("red", "blue"))
    small = {"red": red, "blue": blue, "banner": Image.new("RGB", (400, 20), "red")}
    asked = {key: (request(IMAGE, "What is it?"), [picture]) for key, picture in small.items()}
    answers = ids_of(run(Engine(backend, slots=3), prepared_elsewhere(backend, asked)))
    assert len({tuple(ids) for ids in answers.values()}) > 1
