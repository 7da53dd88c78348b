"""The forms in which models write calls of functions: marks around JSON, different in each family."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class CallFormat:
    """The form of an answer's calls: `begin`, then each call with `between` in between, then `end`.

    A call is `head`, the function's name, `middle`, the arguments as JSON, and `tail`.
    """

    #: Beginning of `begin` and `head` together: text that shows that calls follow.
    trigger: str
    head: str
    middle: str
    tail: str = ""
    begin: str = ""
    between: str = ""
    end: str = ""
    #: Whether an answer may have several calls.
    several: bool = True
    #: Whether the trigger counts only where the answer begins: elsewhere it is text.
    only_at_start: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """All texts around the names and arguments."""
        return (self.begin, self.head, self.middle, self.tail, self.between, self.end)

    @cached_property
    def header(self) -> re.Pattern[str]:
        """An expression for the text before the arguments of a call. It captures the function's name."""
        return re.compile(f"{_loose(self.head)}(?P<name>[\\w.-]+){_loose(self.middle)}(?={{)")

    def written(self, name: str, arguments: str) -> str:
        """Return one call in this form."""
        return f"{self.begin}{self.head}{name}{self.middle}{arguments}{self.tail}{self.end}"


def _loose(text: str) -> str:
    # Decoders drop or add a space beside a special token.
    words = re.split(r"\s+|(?<=[\]>])|(?=[\[<])", text)
    return r"\s*".join(map(re.escape, words))


#: Hermes' form, also that of Qwen2.5, Qwen3, Qwen3-VL and SmolLM3: models that know no tools are asked for it.
HERMES = CallFormat(
    trigger="<tool_call>",
    head='<tool_call>\n{"name": "',
    middle='", "arguments": ',
    tail="}\n</tool_call>",
    between="\n",
)
#: Llama 3.1 and later: the answer is the call.
LLAMA = CallFormat(
    trigger='{"name": "', head='{"name": "', middle='", "parameters": ', tail="}", several=False, only_at_start=True
)


def _list_of_calls(trigger: str, begin: str) -> CallFormat:
    return CallFormat(
        trigger, head='{"name": "', middle='", "arguments": ', tail="}", begin=begin, between=", ", end="]"
    )


#: All known forms, the more particular ones first.
FORMATS = (
    HERMES,
    # Mistral: tokenizers of version 11 and later, then the earlier ones.
    CallFormat(trigger="[TOOL_CALLS]", head="[TOOL_CALLS]", middle="[ARGS]"),
    _list_of_calls("[TOOL_CALLS]", "[TOOL_CALLS] ["),
    _list_of_calls("[TOOL_CALLS]", "[TOOL_CALLS]["),
    # Granite 3, Phi-4-mini.
    _list_of_calls("<|tool_call|>", "<|tool_call|>["),
    LLAMA,
)


def format_of(written: str, name: str) -> CallFormat | None:
    """Return the form in which a template has written a call of a function; None: the form is not known."""
    return next((one for one in FORMATS if f"{one.begin}{one.head}{name}{one.middle}" in written), None)
