"""Control tokens of tokenizers of several kinds, without a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from jobs.errors import InvalidRequestError
from jobs.models.model_info import ModelInfo
from jobs.requests import Message
from worker.models.loader import LoadedModel
from worker.models.text.chat_template import ChatTemplate
from worker.models.text.control_tokens import ControlTokens, _pattern

WORDS = st.sets(st.text("ab<|", min_size=1, max_size=5), min_size=1, max_size=12)


@settings(deadline=None)
@given(WORDS, st.text("ab<|", max_size=12))
def test_the_longest_of_the_tokens_that_begin_first_is_found(words: set[str], text: str) -> None:
    """Literals are found in the order in which tokenizers find control tokens."""
    found = _pattern(words, vision=False).search(text)
    starts = [(at, -len(word), word) for word in words for at in range(len(text)) if text.startswith(word, at)]
    assert (found.start(), found[0]) == min(starts)[::2] if found else not starts


def metaspace(*, unigram: bool) -> LoadedModel:
    """Make a text model with a tokenizer of sentencepiece's kind; unigram ones hold their control tokens as words too."""
    letters = [*"▁abcdefgilnorsu</>:|[]INST", *(f"<0x{byte:02X}>" for byte in range(256))]
    names = ["<unk>", "<s>", "</s>", "<|User|>", *dict.fromkeys(letters)]
    model: Any = models.Unigram([(name, 0.0 if number < 4 else -5.0) for number, name in enumerate(names)], 0, True)
    if not unigram:
        model = models.BPE(
            {name: number for number, name in enumerate(names)}, [], unk_token="<unk>", byte_fallback=True
        )
    inner = Tokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    inner.add_special_tokens([AddedToken(name, normalized=False) for name in names[:3]])
    # DeepSeek's tokenizers do not mark their control tokens as special.
    inner.add_tokens([AddedToken("<|User|>", normalized=False, special=False)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.chat_template = "<s>{% for one in messages %}<|User|>{{ one['content'] }}</s>{% endfor %}"
    return LoadedModel(ModelInfo("any", "text", None), None, tokenizer, {}, frozenset({2}))


@pytest.mark.parametrize("unigram", [True, False])
@pytest.mark.parametrize("literal", ["</s>", "<s>", "<unk>", "<|User|>"])
def test_sentencepiece_reads_control_tokens_as_text(unigram: bool, literal: str) -> None:
    """The literal gets no space before it, and is text also if it is a word of the vocabulary or not marked as special."""
    loaded = metaspace(unigram=unigram)
    literals = ControlTokens(loaded, ChatTemplate(loaded.processor, loaded.config))
    prompt = literals.prompt([Message(role="user", content=f"ab{literal}cd {literal}")])
    ids = literals.restore(loaded.processor.encode(prompt.text, add_special_tokens=False), prompt)
    assert [token for token in ids if token < 4] == [1, 3, 2]
    assert f"ab{literal}cd {literal}" in loaded.processor.decode(ids[2:-1])


def test_a_tokenizer_that_takes_no_new_tokens_refuses_literals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request with a literal is refused, and prompts without literals are not."""
    loaded = metaspace(unigram=False)

    class Closed(type(loaded.processor)):  # type: ignore[misc]
        def add_tokens(self, *_: Any, **__: Any) -> int:
            raise NotImplementedError

    loaded.processor.__class__ = Closed
    literals = ControlTokens(loaded, ChatTemplate(loaded.processor, loaded.config))
    assert literals.prompt([Message(role="user", content="ab")]).text == "<s><|User|>ab</s>"
    with pytest.raises(InvalidRequestError, match="cannot take '</s>' as text"):
        literals.prompt([Message(role="user", content="ab</s>")])


def test_a_stand_in_never_has_an_id_that_the_config_names() -> None:
    """Some image tokens are not in the tokenizer, but have the first id after its own."""
    loaded = metaspace(unigram=False)
    first = len(loaded.processor)
    loaded = replace(loaded, config={"image_token_index": first, "text_config": {"pad_token_id": first + 1}})
    assert ControlTokens(loaded, ChatTemplate(loaded.processor, loaded.config))._stand_in_id == first + 2


def test_the_template_removes_thoughts_of_earlier_answers() -> None:
    """Its marks of thoughts are not shielded in an assistant's messages; in a user's messages they are text."""
    loaded = metaspace(unigram=False)
    loaded.processor.add_tokens([AddedToken("</think>", special=False)])
    loaded.processor.chat_template = (
        "{% for one in messages %}{% if one['role'] == 'user' %}{{ one['content'] }}{% else %}"
        "{{ one['content'].split('</think>')[-1].lstrip('\n') }}{% endif %}<|User|>{% endfor %}"
    )
    literals = ControlTokens(loaded, ChatTemplate(loaded.processor, loaded.config))
    answer = Message(role="assistant", content="ab</think>\n\ncd")
    assert literals.prompt([answer]).text == "cd<|User|>"
    asked = literals.prompt([Message(role="user", content="ab</think>cd"), answer])
    assert "</think>" not in asked.text
    assert loaded.processor.decode(asked.ids) == "</think>"


def test_a_text_of_all_private_characters_is_refused_with_a_reason() -> None:
    """No character is left to mark a literal with; a text without a literal needs none."""
    loaded = metaspace(unigram=False)
    literals = ControlTokens(loaded, ChatTemplate(loaded.processor, loaded.config))
    text = "".join(map(chr, range(0xF0000, 0xFFFFE)))
    assert text in literals.prompt([Message(role="user", content=text)]).text
    with pytest.raises(InvalidRequestError, match="every character for private use"):
        literals.prompt([Message(role="user", content=f"{text}</s>")])
