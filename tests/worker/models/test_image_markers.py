"""The place of an image in the prompt of a template of strings, and processors that fail or make unusable inputs."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from jobs.errors import InvalidRequestError, ModelError, in_words
from jobs.requests import ImagePart, Message, Request, TextPart
from tests.support.families import save_model
from tests.worker.engine.test_exactness import IMAGE, mixed_rows
from tools.families.templates import STRINGS, marks_itself
from worker.models.backends import VisionBackend
from worker.models.failures import as_captionq_error
from worker.models.loader import load
from worker.models.text.chat_template import ChatTemplate
from worker.models.vision.processor_inputs import as_numpy, ids_of_one_prompt


class Processor:
    """A processor with a chat template of strings, rendered as transformers does."""

    image_token = "<image>"

    def __init__(self, template: str) -> None:
        self.chat_template = template

    def apply_chat_template(self, messages: list[dict[str, Any]], **options: Any) -> str:
        from jinja2 import Environment

        return Environment().from_string(self.chat_template).render(messages=messages, **options)


def user(*content: str | ImagePart) -> Message:
    return Message(role="user", content=[TextPart(text=part) if isinstance(part, str) else part for part in content])


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        ((IMAGE, "Describe it."), "USER: <image>Describe it.\nASSISTANT:"),
        (("Describe it:", IMAGE), "USER: <image>Describe it:\nASSISTANT:"),
        ((IMAGE, "or", IMAGE, "?"), "USER: <image>or\n<image>\n?\nASSISTANT:"),
    ],
)
def test_a_marker_that_the_template_writes_is_not_written_again(content: tuple[Any, ...], prompt: str) -> None:
    """JoyCaption's template writes the marker of the first image; a second image gets its own."""
    prompter = ChatTemplate(Processor(marks_itself("<image>")), {"model_type": "llava"})
    assert prompter.prompt([user(*content)]) == prompt


def test_an_image_marker_in_a_text_is_not_an_image() -> None:
    """The marker in the text is not counted among the markers that the template writes."""
    prompter = ChatTemplate(Processor(STRINGS), {"model_type": "llava"})
    assert prompter.prompt([user(IMAGE, "What is <image>?")]) == "USER: <image>\nWhat is <image>?\nASSISTANT:"


def test_more_markers_than_images_are_refused() -> None:
    """This template marks an image in every message, but only the second message has one."""
    template = "{% for message in messages %}<image>{{ message['content'] + '\n' }}{% endfor %}"
    prompter = ChatTemplate(Processor(template), {"model_type": "llava"})
    with pytest.raises(InvalidRequestError, match=r"marks 2 images .* which have 1"):
        prompter.prompt([user("Hello"), user(IMAGE, "What is it?")])


def test_a_family_whose_messages_are_strings_takes_a_template_of_strings() -> None:
    """mlx-vlm returns PaliGemma's messages as strings, and each string gets its role."""
    prompter = ChatTemplate(Processor(STRINGS), {"model_type": "paligemma"})
    assert prompter.prompt([user(IMAGE, "caption en")]) == "USER: <image>caption en\nASSISTANT:"


def test_a_model_without_a_template_is_refused_with_a_way_out() -> None:
    """Florence-2 and PaliGemma have no template."""
    with pytest.raises(ModelError, match=r"no chat template.* such as Qwen3-VL"):
        ChatTemplate(SimpleNamespace(chat_template=None), {"model_type": "florence2"})


def test_arrays_in_lists_may_cross_threads() -> None:
    """DeepSeek-OCR's pixels come in a list, and are computed by the thread that prepares."""
    found: list[Any] = []

    def prepare() -> None:
        pixels = mx.arange(6).reshape(2, 3) * 2
        found.append(as_numpy({"pixels": [pixels, (pixels.astype(mx.bfloat16), "text")], "count": 2}))

    thread = threading.Thread(target=prepare)
    thread.start()
    thread.join()
    first, (second, text) = found[0]["pixels"]
    assert isinstance(second, np.ndarray)
    assert first.sum() == second.sum() == 30
    assert (text, found[0]["count"]) == ("text", 2)


def test_a_model_gets_the_arrays_in_lists_that_its_processor_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arrays are prepared in one thread and used in another."""
    backend = VisionBackend(load("demo"))
    plain, seen = backend._process, []

    def in_a_list(prompt: str, images: list[Any]) -> dict[str, Any]:
        return {**plain(prompt, images), "tiles": as_numpy([mx.ones((2,)), {"rest": mx.ones((3,))}])}

    def look(*_: Any, **inputs: Any) -> Any:
        seen.append(inputs["tiles"])
        raise LookupError

    monkeypatch.setattr(backend, "_process", in_a_list)
    monkeypatch.setattr(backend._embedding._model, "get_input_embeddings", look)
    prepared = backend.prepare(*mixed_rows(1)["image-0"])
    with pytest.raises(LookupError):
        backend.embed(prepared)
    first, rest = seen[0]
    assert isinstance(first, mx.array)
    assert isinstance(rest["rest"], mx.array)


def test_an_image_processor_of_llava_gets_no_padding(tmp_path: Path) -> None:
    """With `padding` every picture of LLaVA 1.5 and JoyCaption failed."""
    backend = VisionBackend(load(str(save_model("llava", tmp_path))))
    prepared = backend.prepare(*mixed_rows(1)["image-0"])
    assert prepared.image_tokens == 64


def test_a_prompt_for_each_image_is_refused() -> None:
    """Molmo's processor makes a prompt of each image; joined, they would be a prompt that no client sent."""
    with pytest.raises(ModelError, match="one image in a request"):
        ids_of_one_prompt(np.zeros((2, 3), np.int32), "demo")


def test_an_error_without_a_text_has_its_name() -> None:
    """Many asserts have no message."""
    assert in_words(AssertionError()) == "AssertionError"
    assert in_words(ValueError("wrong")) == "ValueError: wrong"
    assert str(as_captionq_error(AssertionError())) == "Generation failed: AssertionError"


def test_a_processor_that_fails_without_a_message_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """mlx-vlm's own message would be empty, so the error's type and function are named."""
    backend = VisionBackend(load("demo"))

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(type(backend._loaded.processor), "__call__", fail)
    request = Request(model="any", messages=[user(IMAGE)])
    with pytest.raises(ModelError, match=r"with its images: AssertionError in fail of"):
        backend.prepare(request, mixed_rows(1)["image-0"][1])
