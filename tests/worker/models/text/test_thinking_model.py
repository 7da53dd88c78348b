"""The switches and marks of thinking in chat templates and tokenizers."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from worker.models.text.detokenizer import TextStream, decode
from worker.models.text.thinking_model import ThinkingModel, thinking_off, thinking_on
from worker.models.text.thoughts import ThoughtMarks


def tokenizer(*special: str) -> Any:
    """Return a tokenizer of words with these special tokens."""
    words = ["a", "red", "circle", *special]
    backend = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token="a"))
    made: Any = PreTrainedTokenizerFast(tokenizer_object=backend)  # type: ignore[no-untyped-call]
    made.add_special_tokens({"additional_special_tokens": list(special)})
    return made


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% if enable_thinking is defined and not enable_thinking %}</think>{% endif %}", {"enable_thinking": False}),
        ("{% set thinking = thinking | default(true) %}", {"thinking": False}),
        ("{% generation %}{{ m.thinking }}{% endgeneration %} thinking", {}),
        ("{% if thinking_budget == 0 %}{% endif %}", {"thinking_budget": 0}),
        ("{% if reasoning_effort == 'no_think' %}{% endif %}", {"reasoning_effort": "no_think"}),
        ("{% set reasoning_effort = reasoning_effort or 'high' %}", {}),
        ("{{ reasoning_effort }}{{ 'low' }}{{ \"none\" }}", {"reasoning_effort": "none"}),
        ("{% broken", {}),
        ("{{ messages }}", {}),
    ],
)
def test_switches_are_found_in_the_code_of_a_template(template: str, expected: dict[str, Any]) -> None:
    """Words of its text, and attributes of its messages, are no switches."""
    assert thinking_off(template) == expected


def test_thinking_is_switched_on_by_the_same_variables() -> None:
    """A string is a value only if the template knows it."""
    assert thinking_on("{% if enable_thinking is false %}</think>{% endif %}") == {"enable_thinking": True}
    assert thinking_on("{% if thinking_mode == 'on' %}a{% endif %}") == {"thinking_mode": "on"}
    assert thinking_on("{% if thinking_mode == 'off' %}a{% endif %}{{ messages }}") == {}


def test_a_prompt_may_open_a_thought() -> None:
    """A thought that the template has closed, to switch thinking off, is not open."""
    model = ThinkingModel("", tokenizer())
    assert model.opened_by("<|im_start|>assistant\n<think>\n") == ThoughtMarks("<think>", "</think>")
    assert model.opened_by("<|im_start|>assistant\n<think>\n\n</think>\n\n") is None
    assert model.opened_by("<|im_start|>assistant\n") is None


def test_marks_that_are_special_tokens_are_seen() -> None:
    """Other special tokens stay hidden, also in a text that grows."""
    words = tokenizer("[THINK]", "[/THINK]", "<eos>")
    model = ThinkingModel("", words)
    ids = words.convert_tokens_to_ids(["[THINK]", "a", "[/THINK]", "red", "circle", "<eos>"])
    assert model.marks == (ThoughtMarks("[THINK]", "[/THINK]"),)
    assert decode(model.tokenizer, ids) == "[THINK]a[/THINK]red circle"
    stream = TextStream(model.tokenizer)
    for token in ids:
        stream.add(token)
    assert stream.finish().replace(" ", "") == "[THINK]a[/THINK]redcircle"


def test_a_model_without_marks_keeps_its_tokenizer() -> None:
    """Nothing is added to the decoding of ordinary models."""
    words = tokenizer("<eos>", "</answer>")
    model = ThinkingModel("{{ messages }}", words)
    assert (model.marks, model.tokenizer) == ((), words)
