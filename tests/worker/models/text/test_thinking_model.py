"""The marks of thinking in chat templates and tokenizers."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from worker.models.text.detokenizer import TextStream, decode
from worker.models.text.thinking_model import ThinkingModel
from worker.models.text.thoughts import ThoughtMarks


def tokenizer(*special: str) -> Any:
    """Return a tokenizer of words with these special tokens."""
    words = ["a", "red", "circle", *special]
    backend = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token="a"))
    made: Any = PreTrainedTokenizerFast(tokenizer_object=backend)
    made.add_special_tokens({"additional_special_tokens": list(special)})
    return made


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
