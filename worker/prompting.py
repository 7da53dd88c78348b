"""Messages as the text that a model was trained to continue."""

from __future__ import annotations

from typing import Any

from jobs.errors import ModelError
from jobs.requests import ImagePart, Message


def templated(processor: Any, config: dict[str, Any], messages: list[Message]) -> str:
    """The prompt, with an image marker where each image stands.

    A template that takes lists gets text and images in the order of the message. One that takes text alone gets it from
    mlx-vlm, which knows where its family wants the marker. Raises ModelError.
    """
    template = _template_of(processor)
    if template is None:
        raise ModelError("The model has no chat template; captionq needs one made for instructions.")
    if not any(message.images for message in messages):
        return _apply(processor, [{"role": message.role, "content": _text(message)} for message in messages])
    if _takes_lists(template):
        return _apply(processor, [{"role": message.role, "content": _parts(message)} for message in messages])
    from mlx_vlm.prompt_utils import apply_chat_template

    plain = [{"role": message.role, "content": _text(message)} for message in messages]
    images = sum(len(message.images) for message in messages)
    prompt: str = apply_chat_template(processor, config, plain, num_images=images)
    return prompt


def _apply(processor: Any, messages: list[dict[str, Any]]) -> str:
    owner = processor if _owns_template(processor) else processor.tokenizer
    prompt: str = owner.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return prompt


def _owns_template(processor: Any) -> bool:
    return getattr(processor, "chat_template", None) is not None


def _template_of(processor: Any) -> str | None:
    owner = processor if _owns_template(processor) else getattr(processor, "tokenizer", processor)
    template: str | None = getattr(owner, "chat_template", None)
    return template


def _takes_lists(template: str) -> bool:
    return "'image'" in template or '"image"' in template or "image_url" in template


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if not isinstance(part, ImagePart))


def _parts(message: Message) -> str | list[dict[str, str]]:
    # A system message goes as a string: some templates (Gemma's) take its parts' text alone, others cannot read parts there.
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}] if message.role == "user" else message.content
    return [
        {"type": "image"} if isinstance(part, ImagePart) else {"type": "text", "text": part.text}
        for part in message.content
    ]
