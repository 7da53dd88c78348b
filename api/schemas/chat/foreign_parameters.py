"""Parameters of OpenAI and of other servers that this server does not have: which are refused, and when the rest are named."""

from __future__ import annotations

from typing import Any

_FORMAT = "Use response_format with a JSON schema."
_TOOLS = "Use tools, tool_choice and tool_calls."
_IMAGES = "Send images as image_url parts of a message's content."
_SYSTEM = "Send it as a message with the role system."

#: Parameters that would change the meaning of the answer, each with the values that ask for nothing.
REFUSED: dict[str, tuple[Any, ...]] = {
    # OpenAI
    "functions": (),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "web_search_options": (),
    "best_of": (1,),
    "echo": (False,),
    "suffix": (),
    # vLLM, SGLang and llama.cpp
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
    "structured_outputs": (),
    "grammar": (),
    "json_schema": (),
    "regex": (),
    "min_tokens": (0,),
    "ignore_eos": (False,),
    "stop_token_ids": (),
    "bad_words": (),
    "allowed_token_ids": (),
    "use_beam_search": (False,),
    "include_stop_str_in_output": (False,),
    "continue_final_message": (False,),
    "add_generation_prompt": (True,),
    "chat_template": (),
    # Ollama and Anthropic
    "format": (),
    "system": (),
    "images": (),
    "template": (),
    "raw": (False,),
}
HINTS: dict[str, str] = {
    "functions": _TOOLS,
    "function_call": _TOOLS,
    **dict.fromkeys(("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"), _FORMAT),
    **dict.fromkeys(("grammar", "json_schema", "regex", "format"), _FORMAT),
    "images": _IMAGES,
    "system": _SYSTEM,
}
#: Values of ignored parameters by which a client asks for this server's usual behaviour.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "service_tier": ("auto", "default"),
    "store": (False,),
    "reasoning_effort": ("none", "minimal"),
}

#: The same for the fields of a message.
REFUSED_IN_MESSAGES: dict[str, tuple[Any, ...]] = {
    "function_call": (),
    "audio": (),
    "images": (),
    "image": (),
    "image_url": (),
    "prefix": (False,),
}
HINTS_IN_MESSAGES = {"function_call": _TOOLS, "images": _IMAGES, "image": _IMAGES, "image_url": _IMAGES}
