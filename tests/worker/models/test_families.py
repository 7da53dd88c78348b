"""Other families of vision models: their templates, their processors, and batches of them against one row at a time."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlx_vlm import stream_generate
from PIL import Image

from jobs.errors import ContextLengthError, InvalidRequestError, ModelError
from jobs.models.batching_verdicts import Batching
from jobs.requests import Message, Request, Sampling, TextPart
from jobs.response_format import JSONSchema, JSONSchemaFormat
from tests.support.families import FAMILIES, save_model
from tests.support.faults import Breaking
from tests.support.scenes import draw_many
from tests.worker.engine.test_exactness import IMAGE, AskedSequence, ids_of, mixed_rows, request, run
from worker.engine.batching_check import examine
from worker.engine.engine import Engine
from worker.engine.prefill_group import MOST_TOKENS
from worker.engine.sequences import Outcome
from worker.models.backends import VisionBackend
from worker.models.chat_template import ChatTemplate
from worker.models.inputs import Prepared
from worker.models.loader import LoadedModel, load

#: Families that take one image a request.
ONE_IMAGE = ("llava_next", "fastvlm")

#: transformers says so of arguments that mlx-vlm gives it.
pytestmark = [pytest.mark.filterwarnings(f"ignore:.*{said}.*") for said in ("use_fast", "mel filter", "return_numpy")]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:
    """One tiny model of each family."""
    folder = tmp_path_factory.mktemp("families")
    return {family: load(str(save_model(family, folder / family))) for family in FAMILIES}


def decoded_alone(loaded: LoadedModel, request: Request, images: list[Image.Image]) -> list[int]:
    """The ids that mlx-vlm's own loop over one prompt gives."""
    prompt = ChatTemplate(loaded.processor, loaded.config).prompt(request.messages)
    count = request.sampling.max_tokens
    stream = stream_generate(
        loaded.model, loaded.processor, prompt, image=images or None, max_tokens=count, temperature=0.0
    )
    # The last item repeats the last token.
    ids = [part.token for part in stream if part.finish_reason is None]
    return [token for token in ids if token not in loaded.eos]


@pytest.fixture(scope="module")
def alone(models: dict[str, LoadedModel]) -> dict[str, dict[str, list[int]]]:
    """By family and key: the ids that mlx-vlm gives each of the rows by itself."""
    return {
        family: {key: decoded_alone(models[family], *row) for key, row in rows_for(family).items()}
        for family in FAMILIES
    }


def rows_for(family: str) -> dict[str, AskedSequence]:
    """Rows of every kind that the family takes."""
    return {key: row for key, row in mixed_rows(2).items() if len(row[1]) < 2 or family not in ONE_IMAGE}


def prepared_elsewhere(backend: VisionBackend, rows: dict[str, AskedSequence]) -> dict[str, Prepared]:
    """The rows, prepared in another thread, as real work is: mlx arrays belong to the thread that made them."""
    with ThreadPoolExecutor(1) as thread:
        return dict(zip(rows, thread.map(lambda row: backend.prepare(*row), rows.values()), strict=True))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chunk", [MOST_TOKENS, 8])
def test_a_batch_gives_what_mlx_vlm_gives_one_at_a_time(
    models: dict[str, LoadedModel],
    alone: dict[str, dict[str, list[int]]],
    family: str,
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows with an image, two and none, text first and last, joining late, their prompts prefilled whole or in chunks."""
    assert len({tuple(ids) for ids in alone[family].values()}) == len(alone[family])
    monkeypatch.setattr("worker.engine.prefill_group.MOST_TOKENS", chunk)
    backend = VisionBackend(models[family])
    prepared = prepared_elsewhere(backend, rows_for(family))
    assert ids_of(run(Engine(backend, slots=8), prepared)) == alone[family]
    assert ids_of(run(Engine(backend, slots=3), prepared, every=4)) == alone[family]


# The random weights of LLaVA name its image marker in most of their answers.
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "llava"])
def test_rows_of_a_broken_batch_go_on_where_they_were(
    models: dict[str, LoadedModel], alone: dict[str, dict[str, list[int]]], family: str
) -> None:
    """From the prompt and the tokens that had come out, in every family; when nearly all rows decode."""
    backend = Breaking(models[family], {16})
    prepared = prepared_elsewhere(backend, rows_for(family))
    finished = run(Engine(backend, slots=8), prepared)
    failed = {key for key, row in finished.items() if row.error is not None}
    # Random weights may answer with an image marker, which a prompt that is taken up again would take for an image.
    assert all(backend._image_token in alone[family][key] for key in failed)
    assert len(failed) <= 1
    whole = {key: row for key, row in finished.items() if key not in failed}
    assert ids_of(whole) == {key: alone[family][key] for key in whole}


@pytest.mark.parametrize("family", FAMILIES)
def test_image_tokens_are_counted_in_the_expanded_prompt(models: dict[str, LoadedModel], family: str) -> None:
    """Two images have the tokens of both; the rest is text."""
    backend = VisionBackend(models[family])
    pictures = [drawn.image.reduce(2) for drawn in draw_many(2)]

    def tokens(*images: Image.Image) -> tuple[int, int]:
        parts = [*([IMAGE] * len(images)), TextPart(text="What is it?")]
        prepared = backend.prepare(Request(model="any", messages=[Message(role="user", content=parts)]), list(images))
        assert prepared.ids.count(backend._image_token) == prepared.image_tokens  # type: ignore[arg-type]
        return prepared.image_tokens, len(prepared.ids)

    (first, _), (second, _), (both, whole) = tokens(pictures[0]), tokens(pictures[1]), tokens(*pictures)
    assert both == first + second > 0
    assert whole > both
    assert tokens()[0] == 0


MARKERS = {
    "qwen2_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "qwen2_5_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "qwen3_vl": "<|vision_start|><|image_pad|><|vision_end|>",
    "gemma3": "<start_of_image>",
    "smolvlm": "<image>",
    "lfm2_vl": "<image>",
    "llava": "<image>",
    "llava_next": "<image>",
    "fastvlm": "<image>",
    "glm4v": "<|begin_of_image|><|image|><|end_of_image|>",
    "gemma4": "<image_soft_token>",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_text_and_images_keep_their_order(models: dict[str, LoadedModel], family: str) -> None:
    """In each message of a conversation, whatever form the family's template takes them in."""
    prompter = ChatTemplate(models[family].processor, models[family].config)
    conversation = [
        Message(role="system", content="Be brief."),
        Message(role="user", content=[TextPart(text="Before"), IMAGE, TextPart(text="between"), IMAGE]),
        Message(role="assistant", content="An answer."),
        Message(role="user", content=[IMAGE, TextPart(text="after")]),
    ]
    prompt = prompter.prompt(conversation)
    marker = MARKERS[family]
    at = 0
    for word in ("Be brief.", "Before", marker, "between", marker, "An answer.", marker, "after"):
        at = prompt.index(word, at) + len(word)
    assert prompt.count(marker) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_without_images_keeps_its_text(models: dict[str, LoadedModel], family: str) -> None:
    """Some templates iterate over a string as if it were a list of parts, and print nothing."""
    prompter = ChatTemplate(models[family].processor, models[family].config)
    prompt = prompter.prompt([Message(role="system", content="Be brief."), Message(role="user", content="Hello there")])
    assert "Be brief." in prompt
    assert "Hello there" in prompt
    assert not prompter.lacks_bos(prompt)


def test_a_config_that_leaves_out_the_vocabulary_takes_structured_output(tmp_path: Path) -> None:
    """As Gemma 3's own does: the library's default is wider than the tokenizer, and a neighbour is none the worse."""
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


def test_what_a_template_refuses_is_the_request_s_fault(models: dict[str, LoadedModel]) -> None:
    """Gemma's wants users and assistants to take turns, and says so."""
    prompter = ChatTemplate(models["gemma3"].processor, models["gemma3"].config)
    with pytest.raises(InvalidRequestError, match="must alternate"):
        prompter.prompt([Message(role="user", content="One"), Message(role="user", content="two")])


def test_a_processor_that_fails_names_the_model(models: dict[str, LoadedModel]) -> None:
    """An image that is a line, which Qwen's refuse: the request ends with a typed error."""
    backend = VisionBackend(models["qwen2_vl"])
    request = Request(model="any", messages=[Message(role="user", content=[IMAGE])], sampling=Sampling(max_tokens=8))
    with pytest.raises(ModelError, match="cannot take this prompt"):
        backend.prepare(request, [Image.new("RGB", (1, 400))])


@pytest.mark.parametrize("family", ONE_IMAGE)
def test_tokens_are_counted_as_they_are_computed(models: dict[str, LoadedModel], family: str) -> None:
    """Where images take more columns than the processor gives them ids: in the usage, and in what the context leaves."""
    backend = VisionBackend(models[family])
    picture = draw_many(1)[0].image

    def answer(words: int) -> tuple[Prepared, Outcome]:
        asked = request(IMAGE, "red " * words, max_tokens=400)
        prepared = prepared_elsewhere(backend, {"row": (asked, [picture])})
        return prepared["row"], run(Engine(backend, slots=2), prepared)["row"]

    before, short = answer(1)
    more = short.answer.prompt_tokens - len(before.ids)
    assert short.answer.image_tokens == before.image_tokens + more
    assert more > 0
    # It leaves room for some of the answer, by what is computed, and the row ends there.
    words = 2048 - short.answer.prompt_tokens - 8
    _, long = answer(words)
    assert long.answer.prompt_tokens + long.answer.completion_tokens == 2048
    # What the processor gave ids to would fit: what is computed does not.
    too_long, refused = answer(words + 10)
    assert len(too_long.ids) < 2048
    assert isinstance(refused.error, ContextLengthError)
    assert re.search(r"The prompt has 20\d\d tokens", refused.error.message)


def test_a_row_that_does_not_fit_after_all_fails_alone(models: dict[str, LoadedModel]) -> None:
    """With the number that the settings allow; its group goes in without it."""
    backend = VisionBackend(models["llava_next"])
    prepared = prepared_elsewhere(backend, rows_for("llava_next"))
    expected = ids_of(run(Engine(backend, slots=8), prepared))
    backend.max_prompt_tokens = 658
    finished = run(Engine(backend, slots=8), prepared)
    error = finished.pop("image-0").error
    assert isinstance(error, ContextLengthError)
    assert "659 tokens (640 for images); 658 are allowed" in error.message
    assert ids_of(finished) == {key: expected[key] for key in finished}


@pytest.mark.parametrize("family", ONE_IMAGE)
def test_images_whose_places_are_not_known_fail_their_row_alone(models: dict[str, LoadedModel], family: str) -> None:
    """mlx-vlm puts the second one elsewhere than the text says, or leaves it out, without a word."""
    backend = VisionBackend(models[family])
    prepared = prepared_elsewhere(backend, mixed_rows(2))
    finished = run(Engine(backend, slots=8), prepared)
    failed = {key: row.error for key, row in finished.items() if row.error is not None}
    assert failed.keys() == {"two-0", "two-1"}
    assert all(f"the family '{models[family].config['model_type']}'" in error.message for error in failed.values())


@pytest.mark.parametrize("family", ["gemma4", "glm4v", "qwen3_vl"])
def test_a_text_among_pictures_takes_no_more_steps(models: dict[str, LoadedModel], family: str) -> None:
    """Pictures may have inputs for each token that texts have not: the two do not go into one forward pass."""
    backend = VisionBackend(models[family])
    picture = draw_many(1)[0].image
    rows = {str(number): (request(IMAGE, f"Number {number}?"), [picture]) for number in range(7)}
    prepared = prepared_elsewhere(backend, {**rows, "text": (request("Count to twenty."), [])})
    for order in (list(prepared), list(reversed(prepared))):
        engine = Engine(backend, slots=8)
        for key in order:
            engine.admit(key, prepared[key])
        steps = 0
        while engine.busy:
            assert all(row.error is None for row in engine.step())
            steps += 1
        # 20 tokens each, and a few to take them in.
        assert steps < 40


def test_positions_that_a_model_keeps_are_each_row_s_own(
    models: dict[str, LoadedModel], alone: dict[str, dict[str, list[int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a family that is not known for it: whatever is embedded between two parts of a prompt, urgent rows included."""
    monkeypatch.setattr("worker.models.library_quirks.KEEPS_POSITIONS", frozenset())
    backend = VisionBackend(models["glm4v"])
    verdict = examine(backend, sees=True)
    assert verdict.batching is not Batching.TOGETHER
    assert verdict.whole_prompts
    backend.whole_prompts, backend.shares_prefixes = True, False
    prepared = prepared_elsewhere(backend, rows_for("glm4v"))
    engine = Engine(backend, slots=1 if verdict.batching is Batching.ALONE else 8, group=1)
    finished: dict[str, Outcome] = {}
    for number, (key, row) in enumerate(prepared.items()):
        engine.admit(key, row, urgent=number % 2 == 1)
        finished |= {one.key: one for one in engine.step()}
    assert ids_of(finished | run(engine, {})) == alone["glm4v"]
