"""Log-probabilities of tokens as OpenAI's clients read them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.worker.models.text.test_detokenizer import SPECIAL, TOKENIZERS
from worker.sampling.token_texts import TokenTexts
from worker.sampling.tokens import Token


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_the_texts_of_tokens_make_the_answer(tokenizer: Any) -> None:
    """A token has the space that stands before its word, though a decoder of sentencepiece's kind drops that of a first token."""
    text = "the cat. abc\n the cat"
    ids = tokenizer.encode(text, add_special_tokens=False)
    told = TokenTexts(tokenizer).openai_logprobs([Token(one, -1.0, ((one, -1.0),)) for one in ids], 1)
    assert "".join(entry["token"] for entry in told).strip() == text
    assert b"".join(bytes(entry["bytes"]) for entry in told).decode().strip() == text
    assert [entry["top_logprobs"][0]["token"] for entry in told] == [entry["token"] for entry in told]


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_tokens_without_a_text_of_their_own(tokenizer: Any) -> None:
    """The end of an answer has its name, and a part of a character is U+FFFD without bytes."""
    end, part = tokenizer.convert_tokens_to_ids(SPECIAL), tokenizer.encode("图", add_special_tokens=False)[-1]
    told = TokenTexts(tokenizer).openai_logprobs([Token(end, -1.0), Token(part, -1.0)], 0)
    assert [(entry["token"], entry["bytes"]) for entry in told] == [(SPECIAL, list(SPECIAL.encode())), ("�", None)]
