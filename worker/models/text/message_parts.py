"""The parts of a message, as requests hold them and as chat templates take them."""

from __future__ import annotations

from jobs.requests import ImagePart, Message, TextPart


def parts_of(message: Message) -> list[TextPart | ImagePart]:
    """Return the message's texts and images. A string is one text."""
    return [TextPart(text=message.content)] if isinstance(message.content, str) else list(message.content)


def text_of(message: Message) -> str:
    """Return the message's texts, each on its own line."""
    return "\n".join(message.texts)


def template_parts(message: Message, image: dict[str, str]) -> list[dict[str, str]]:
    """Return the parts as a template takes them; `image`: the form of an image."""
    return [dict(image) if isinstance(part, ImagePart) else text_part(part.text) for part in parts_of(message)]


def text_part(text: str) -> dict[str, str]:
    """Return a text as a template takes it."""
    # InternVL's template reads `content`, the others read `text`.
    return {"type": "text", "text": text, "content": text}
