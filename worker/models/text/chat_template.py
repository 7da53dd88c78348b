"""Messages as the text that a model was trained to continue, with text and images in the order of each message.

Chat templates disagree on the form of a message's content: a string, a list of parts, or a list for some roles only. A template
that gets the wrong form may drop the text without an error, so each template is tried out once with a probe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from jobs.errors import InvalidRequestError, ModelError
from jobs.models.thinking_switches import thinking_off, thinking_on
from jobs.requests import Message
from jobs.tools import Tools
from worker.models.text.generic_tools import as_plain_messages
from worker.models.text.image_turns import with_images_shown
from worker.models.text.message_parts import template_parts, text_of, text_part
from worker.models.text.tool_template import find_format, one_call_a_message, tool_fields
from worker.sampling.call_format import HERMES, CallFormat

#: A word that no template contains.
_PROBE = "xqprobex"
#: The forms in which templates accept an image: most take the first, ERNIE's the second.
_IMAGE_PARTS: tuple[dict[str, str], ...] = ({"type": "image"}, {"type": "image_url"})


@dataclass(frozen=True)
class Conversation:
    """Messages and tools as one template can show them."""

    messages: list[Message]
    #: The tools as OpenAI's clients define them; none: the template is not told of any.
    definitions: list[dict[str, Any]]
    #: The form in which the model writes calls.
    call_form: CallFormat


class ChatTemplate:
    """The chat template of one model."""

    def __init__(self, processor: Any, config: dict[str, Any]) -> None:
        """Raise ModelError if the model has no template."""
        self._processor = processor
        self._config = config
        self._owner = _owner(processor)
        #: The variables of the template, by whether the model is to think.
        self._switches = {False: thinking_off(self.template), True: thinking_on(self.template)}
        #: The form of an image in a list of parts; None: the template takes only strings.
        self._image = next((image for image in _IMAGE_PARTS if self._shows(image)), None)
        self._takes_strings: dict[str, bool] = {}
        for role in ("user", "system", "assistant"):
            self._takes_strings[role] = self._keeps_string(role)
        #: The form of calls of functions; None: the template knows no tools.
        self._call_form = find_format(self._try, {"role": "user", "content": self._probe_content("user")})
        self._takes_strings["tool"] = True
        self._shows_images: dict[str, bool] = {"user": True}

    @property
    def template(self) -> str:
        """The source of the template, in Jinja."""
        return str(self._owner.chat_template)

    @property
    def call_marks(self) -> tuple[str, ...]:
        """The texts by which the model marks calls of functions."""
        return (self._call_form or HERMES).marks

    def conversation(self, messages: Sequence[Message], tools: Tools | None = None) -> Conversation:
        """Return messages and tools as the template can show them: tools that it does not know become text."""
        images = any(message.images for message in messages)
        # The place of an image in a template of strings is known for plain messages only.
        form = None if images and self._image is None else self._call_form
        if form is None:
            plain = as_plain_messages(messages, tools)
            return Conversation(with_images_shown(plain, self._shows_images_of), [], HERMES)
        messages = list(messages) if form.several else one_call_a_message(messages)
        definitions = [] if tools is None else [function.definition for function in tools.functions]
        return Conversation(with_images_shown(messages, self._shows_images_of), definitions, form)

    def prompt(
        self, messages: list[Message], definitions: Sequence[dict[str, Any]] = (), *, thinks: bool = False
    ) -> str:
        """Render the prompt of a `Conversation`, with one image marker in the place of each image.

        Raises:
            InvalidRequestError: The template refuses these messages.
            ModelError: The place of an image is not known for this family.
        """
        images = sum(len(message.images) for message in messages)
        try:
            if images and self._image is None:
                return self._by_family(messages, images, thinks=thinks)
            names = {call.id: call.name for message in messages for call in message.tool_calls}
            turns = [
                {"role": message.role, "content": self._content(message), **tool_fields(message, names)}
                for message in messages
            ]
            return self._apply(turns, definitions, thinks=thinks)
        except (TemplateError, ValueError) as error:
            raise InvalidRequestError(f"The model's chat template refuses these messages: {error}") from error

    def lacks_bos(self, prompt: str) -> bool:
        """Whether the tokenizer has to add its first token (BOS). Many templates write it, and a second BOS would be wrong."""
        bos = getattr(getattr(self._processor, "tokenizer", self._processor), "bos_token", None)
        return bos is not None and not prompt.startswith(bos)

    def takes_string(self, message: Message) -> bool:
        """Whether the template gets this message's content as one string, with each text on its own line."""
        return not message.images and self._takes_strings[message.role]

    def _content(self, message: Message) -> str | list[dict[str, str]]:
        if self.takes_string(message):
            return text_of(message)
        return template_parts(message, self._image or _IMAGE_PARTS[0])

    def _by_family(self, messages: list[Message], images: int, *, thinks: bool) -> str:
        """Render a template of strings: mlx-vlm knows the marker of each family, and keeps the order of the parts."""
        from mlx_vlm.prompt_utils import MODEL_CONFIG, apply_chat_template

        family = str(self._config.get("model_type", "")).lower()
        if family not in MODEL_CONFIG:
            raise ModelError(
                f"The place of an image in the prompt of a '{family}' model is not known. Use another model."
            )
        plain = [{"role": message.role, "content": template_parts(message, _IMAGE_PARTS[0])} for message in messages]
        missing = images - self._leave_out_written(plain, images)
        marked = apply_chat_template(self._processor, self._config, plain, num_images=missing, return_messages=True)
        contents = [item if isinstance(item, str) else self._flat(item["content"]) for item in marked]
        return self._apply(
            [{"role": message.role, "content": content} for message, content in zip(messages, contents, strict=True)],
            thinks=thinks,
        )

    def _leave_out_written(self, messages: list[dict[str, Any]], images: int) -> int:
        """Remove the first images from the messages, one for each marker that the template writes by itself (JoyCaption's does).

        Returns:
            The number of removed images.

        Raises:
            InvalidRequestError: The template writes more markers than the messages have images.
        """
        probes = [{"role": message["role"], "content": _PROBE} for message in messages]
        written = self._apply(probes).count(self._marker)
        if written > images:
            raise InvalidRequestError(
                f"The model's chat template marks {written} images in these messages, which have {images}. "
                "Send one message with one image."
            )
        left = written
        for message in messages:
            kept = []
            for part in message["content"]:
                if left and part["type"] != "text":
                    left -= 1
                else:
                    kept.append(part)
            message["content"] = kept
        return written

    @property
    def _marker(self) -> str:
        return getattr(self._processor, "image_token", None) or "<image>"

    def _flat(self, content: str | list[dict[str, str]]) -> str:
        """Join a list of parts to one string, for a template of strings in a family that takes lists."""
        if isinstance(content, str):
            return content
        return "\n".join(self._marker if part["type"] == "image" else part["text"] for part in content)

    def _apply(
        self, messages: list[dict[str, Any]], definitions: Sequence[dict[str, Any]] = (), *, thinks: bool = False
    ) -> str:
        tools = {"tools": list(definitions)} if definitions else {}
        # transformers warns if a template does not know a variable, so only those that it knows are given.
        prompt: str = self._owner.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **tools, **self._switches[thinks]
        )
        return prompt

    def _keeps_string(self, role: str) -> bool:
        """Whether the prompt contains the text of a message of this role if its content is a string."""
        message: dict[str, Any] = {"role": role, "content": _PROBE}
        user = {"role": "user", "content": self._probe_content("user")}
        around = {"user": [message], "system": [message, user], "assistant": [user, message, user]}
        messages = around[role]
        prompt = self._try(messages)
        return prompt is not None and prompt.count(_PROBE) == len(messages)

    def _probe_content(self, role: str) -> str | list[dict[str, str]]:
        return _PROBE if self._takes_strings.get(role, True) else [text_part(_PROBE)]

    def _shows_images_of(self, role: str) -> bool:
        """Whether the template shows images in messages of this role. A template of strings gets them by family."""
        if self._image is not None and role not in self._shows_images:
            before = {"role": "user", "content": self._probe_content("user")}
            after = [] if role == "tool" else [before]
            self._shows_images[role] = self._shows(self._image, role, [before], after)
        return self._shows_images.get(role, True)

    def _shows(
        self,
        image: dict[str, str],
        role: str = "user",
        before: Sequence[dict[str, Any]] = (),
        after: Sequence[dict[str, Any]] = (),
    ) -> bool:
        """Whether the template takes a list of parts and writes a marker for this form of an image."""

        def shown(*parts: dict[str, str]) -> str | None:
            return self._try([*before, {"role": role, "content": list(parts)}, *after])

        text_only, both = shown(text_part(_PROBE)), shown(image, text_part(_PROBE))
        # A template of strings may print the list as Python does.
        return both is not None and _PROBE in both and both != text_only and "'type'" not in both

    def _try(self, messages: list[dict[str, Any]], definitions: Sequence[dict[str, Any]] = ()) -> str | None:
        try:
            return self._apply(messages, definitions)
        except (TemplateError, TypeError, ValueError, AttributeError, KeyError):
            return None


def _owner(processor: Any) -> Any:
    """Return the processor or its tokenizer, the first of them that has a chat template. Raises ModelError."""
    for owner in (processor, getattr(processor, "tokenizer", None)):
        if getattr(owner, "chat_template", None) is not None:
            return owner
    raise ModelError(
        "The model has no chat template, so captionq cannot ask it anything. "
        "Use one that was trained to follow instructions, such as Qwen3-VL or Gemma 3."
    )
