"""Tools for models whose chat template knows none: instructions in the system message, and calls and results as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby

from jobs.requests import ImagePart, Message, TextPart
from jobs.tools import Tools
from worker.models.text.message_parts import parts_of
from worker.sampling.call_format import HERMES

#: The words with which Qwen2.5 and Hermes were trained.
_INSTRUCTIONS = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{definitions}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def as_plain_messages(messages: Sequence[Message], tools: Tools | None) -> list[Message]:
    """Return messages without calls and results, with the instructions of the tools in the system message.

    Results become a user's message, joined with the user's own: templates expect user and assistant in turn.
    """
    plain: list[Message] = []
    for _, run in groupby(messages, key=lambda message: message.role in ("user", "tool")):
        group = list(run)
        if any(message.role == "tool" for message in group):
            plain.append(Message(role="user", content=[part for message in group for part in _shown_parts(message)]))
        else:
            plain += [_with_calls_as_text(message) for message in group]
    return plain if tools is None else _with_instructions(plain, tools)


def _with_calls_as_text(message: Message) -> Message:
    if not message.tool_calls:
        return message
    calls = HERMES.between.join(HERMES.written(call.name, call.arguments) for call in message.tool_calls)
    said = [part for part in parts_of(message) if isinstance(part, ImagePart) or part.text]
    return Message(role=message.role, content=[*said, TextPart(text=calls)])


def _shown_parts(message: Message) -> list[TextPart | ImagePart]:
    if message.role != "tool":
        return parts_of(message)
    if message.images:
        return [TextPart(text="<tool_response>"), *parts_of(message), TextPart(text="</tool_response>")]
    return [TextPart(text="\n".join(["<tool_response>", *message.texts, "</tool_response>"]))]


def _with_instructions(messages: list[Message], tools: Tools) -> list[Message]:
    definitions = "\n".join(json.dumps(function.definition, ensure_ascii=False) for function in tools.functions)
    instructions = _INSTRUCTIONS.format(definitions=definitions)
    if messages and messages[0].role == "system":
        words = "\n".join(messages[0].texts)
        return [Message(role="system", content=f"{words}\n\n{instructions}"), *messages[1:]]
    return [Message(role="system", content=instructions), *messages]
