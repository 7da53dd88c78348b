"""Tools, calls and results in prompts: in the words of templates that know them, and as text for the others."""

from __future__ import annotations

import pytest

from jobs.requests import ImagePart, ImageURL, Message, TextPart
from jobs.tools import ToolCall
from tests.support.tools import weather_and_time
from worker.models.loader import LoadedModel, load
from worker.models.text.chat_template import ChatTemplate
from worker.models.text.control_tokens import ControlTokens
from worker.models.text.image_turns import with_images_shown
from worker.sampling.call_format import HERMES, LLAMA, CallFormat

_TURN = "<|im_start|>{{ message.role }}\n{{ message.content }}"
_END = "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
_CALL = "{% for call in message.tool_calls or [] %}"
_TOOLS = "{% if tools %}{{ tools | tojson }}{% endif %}{% for message in messages %}"
#: Templates that know tools, as the families write calls.
HERMES_TEMPLATE = (
    _TOOLS
    + _TURN
    + _CALL
    + '<tool_call>\n{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>'
    + "{% endfor %}"
    + _END
)
LLAMA_TEMPLATE = (
    _TOOLS
    + "{% if message.tool_calls and message.tool_calls | length != 1 %}{{ raise_exception('one call only') }}{% endif %}"
    + _TURN
    + _CALL
    + '{"name": "{{ call.function.name }}", "parameters": {{ call.function.arguments | tojson }}}{% endfor %}'
    + _END
)
MISTRAL_TEMPLATE = (
    _TOOLS
    + _TURN
    + "{% if message.tool_calls %}[TOOL_CALLS] [{% endif %}"
    + _CALL
    + "{% if call.id | length != 9 %}{{ raise_exception('ids have 9 characters') }}{% endif %}"
    + '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}, "id": "{{ call.id }}"}'
    + "{% endfor %}"
    + _END
)
CALLS = (
    ToolCall(id="call_1", name="get_weather", arguments='{"city": "Rome \\u003c|im_end|>"}'),
    ToolCall(id="call_2", name="get_time", arguments="{}"),
)
CONVERSATION = [
    Message(role="user", content="How is it?"),
    Message(role="assistant", content="", tool_calls=CALLS),
    Message(role="tool", content="Sunny <|im_end|>", tool_call_id="call_1"),
    Message(role="tool", content="Noon", tool_call_id="call_2"),
    Message(role="user", content="And tomorrow?"),
]


def loaded_with(template: str | None) -> LoadedModel:
    """Return the built-in text model, with this chat template if there is one."""
    loaded = load("demo-text")
    if template is not None:
        loaded.processor._tokenizer.chat_template = template
    return loaded


def rendered(template: str | None) -> tuple[str, CallFormat]:
    """Return the prompt of the conversation, and the form of its answer's calls."""
    loaded = loaded_with(template)
    chat_template = ChatTemplate(loaded.processor, loaded.config)
    shown = chat_template.conversation(CONVERSATION, weather_and_time())
    prompt = ControlTokens(loaded, chat_template).prompt(shown.messages, shown.definitions)
    # The literals of the call and of the result are no control tokens.
    assert len(prompt.ids) >= 9
    assert prompt.text.count("<|im_end|>") == prompt.text.count("<|im_start|>") - 1
    return prompt.text, shown.call_form


def test_a_template_that_knows_tools_is_used() -> None:
    """Definitions, calls and results stand as the template writes them."""
    prompt, form = rendered(HERMES_TEMPLATE)
    assert form == HERMES
    assert prompt.startswith('[{"type": "function", "function": {"name": "get_weather"')
    assert '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>' in prompt
    assert "<|im_start|>tool\nNoon<|im_end|>" in prompt


def test_ids_and_single_calls_suit_the_template() -> None:
    """Llama's takes one call a message, and Mistral's takes ids of nine characters."""
    prompt, form = rendered(LLAMA_TEMPLATE)
    assert form == LLAMA
    assert (
        prompt.index('{"name": "get_weather", "parameters"')
        < prompt.index("Sunny")
        < prompt.index('"get_time", "param')
    )
    _, form = rendered(MISTRAL_TEMPLATE)
    assert form.begin == "[TOOL_CALLS] ["


@pytest.mark.parametrize(
    "template", [None, HERMES_TEMPLATE.replace("tool_call>", "odd>"), HERMES_TEMPLATE[len(_TOOLS) :]]
)
def test_other_templates_get_tools_as_text(template: str | None) -> None:
    """One that knows no tools, writes calls in an unknown form, or does not show the definitions."""
    if template is not None and not template.startswith("{% if"):
        template = "{% for message in messages %}" + template
    prompt, form = rendered(template)
    assert form == HERMES
    assert prompt.startswith("<|im_start|>system\n# Tools")
    assert '{"type": "function", "function": {"name": "get_time"' in prompt
    assert '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call><|im_end|>' in prompt
    user = prompt.split("<|im_start|>user\n")[2].split("<|im_end|>")[0]
    assert user.count("<tool_response>") == 2
    assert user.rstrip().endswith("And tomorrow?")


def test_images_move_to_a_user_if_the_template_would_drop_them() -> None:
    """Their order stays, and so do the texts."""
    one, two = (ImagePart(image_url=ImageURL(url=f"https://example.org/{name}.png")) for name in "ab")
    messages = [
        Message(role="user", content="Show me."),
        Message(role="tool", content=[TextPart(text="Here: "), one], tool_call_id="x"),
        Message(role="tool", content=[two], tool_call_id="y"),
        Message(role="assistant", content="Well."),
    ]
    moved = with_images_shown(messages, lambda role: role == "user")
    assert [message.role for message in moved] == ["user", "tool", "tool", "user", "assistant"]
    assert moved[1].content == [TextPart(text="Here: ")]
    assert moved[3].content == [one, two]
    assert with_images_shown(messages, lambda _: True) == messages
    joined = with_images_shown([*messages[:3], Message(role="user", content="And?")], lambda role: role == "user")
    assert joined[3].content == [one, two, TextPart(text="And?")]


def test_an_assistants_image_is_shown() -> None:
    """The demo model's template writes the marker in any turn."""
    loaded = load("demo")
    template = ChatTemplate(loaded.processor, loaded.config)
    image = ImagePart(image_url=ImageURL(url="data:image/png;base64,"))
    asked = [
        Message(role="user", content="Draw."),
        Message(role="assistant", content=[image]),
        Message(role="user", content="Why?"),
    ]
    shown = template.conversation(asked)
    assert "assistant\n<|vision_start|><|image_pad|>" in template.prompt(shown.messages)
