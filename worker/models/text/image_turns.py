"""Images in messages of the assistant and in results of tools, for chat templates that show only a user's images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobs.requests import ImagePart, Message, TextPart
from worker.models.text.message_parts import parts_of


def with_images_shown(messages: Sequence[Message], shows: Callable[[str], bool]) -> list[Message]:
    """Return messages in which only roles that show images have any; the others' move to the user's message that follows.

    Args:
        shows: whether the template shows the images of a role's messages.
    """
    moved: list[Message] = []
    waiting: list[ImagePart] = []
    for message in messages:
        if waiting and message.role != "tool":
            if message.role == "user":
                message = message.model_copy(update={"content": [*waiting, *parts_of(message)]})
            else:
                moved.append(Message(role="user", content=list(waiting)))
            waiting = []
        if message.images and not shows(message.role):
            parts = parts_of(message)
            waiting += [part for part in parts if isinstance(part, ImagePart)]
            texts = [part for part in parts if isinstance(part, TextPart)]
            message = message.model_copy(update={"content": texts})
        moved.append(message)
    return [*moved, Message(role="user", content=list(waiting))] if waiting else moved
