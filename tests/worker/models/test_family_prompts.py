"""Prompts of the families of vision models: their templates, their markers, and processors that refuse an image."""

from __future__ import annotations

import pytest
from PIL import Image

from jobs.errors import InvalidRequestError, ModelError
from jobs.requests import Message, Request, TextPart
from jobs.sampling import Sampling
from tests.support.families import FAMILIES
from tests.support.scenes import draw_many
from tests.worker.engine.test_exactness import IMAGE
from worker.models.backends import VisionBackend
from worker.models.loader import LoadedModel
from worker.models.text.chat_template import ChatTemplate

#: Warnings of transformers about arguments that mlx-vlm passes.
pytestmark = [pytest.mark.filterwarnings(f"ignore:.*{said}.*") for said in ("use_fast", "mel filter", "return_numpy")]


@pytest.mark.parametrize("family", FAMILIES)
def test_image_tokens_are_counted_in_the_expanded_prompt(models: dict[str, LoadedModel], family: str) -> None:
    """Two images have the tokens of both, and the other tokens are text."""
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


#: The marker of an image in the prompts of each family.
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
    """The order is kept in each message of a conversation, for every form that templates take."""
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


def test_messages_that_a_template_refuses_are_an_invalid_request(models: dict[str, LoadedModel]) -> None:
    """Gemma's template says that users and assistants must take turns."""
    prompter = ChatTemplate(models["gemma3"].processor, models["gemma3"].config)
    with pytest.raises(InvalidRequestError, match="must alternate"):
        prompter.prompt([Message(role="user", content="One"), Message(role="user", content="two")])


def test_a_processor_that_fails_names_the_model(models: dict[str, LoadedModel]) -> None:
    """Qwen's processor refuses an image of one pixel's width: the request ends with a typed error."""
    backend = VisionBackend(models["qwen2_vl"])
    request = Request(model="any", messages=[Message(role="user", content=[IMAGE])], sampling=Sampling(max_tokens=8))
    with pytest.raises(ModelError, match="cannot take this prompt"):
        backend.prepare(request, [Image.new("RGB", (1, 400))])
