"""The text of a growing answer against the text of the whole answer, for all places of tokens and stop strings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from worker.models.loader import load
from worker.models.text.detokenizer import TextStream, decode

#: Words that are one token of both tokenizers, which also have all bytes.
WORDS = ["ab", "bc", "abc", " a", " ab", "é", " é", "中", "中文", "  ", "\n\n", ". "]
SPECIAL = "<end>"
ALPHABET = "abc. \né中文🦊"


def byte_level() -> PreTrainedTokenizerFast:
    """Make a tokenizer of bytes, some words and pieces of characters, of the kind of GPT-2, Qwen and Llama 3."""
    pieces = [word.encode() for word in WORDS] + [b"\xe4\xb8", b"\xad\xe6", b"\xad\xe4\xb8"]
    names = [*map(_as_byte_letter, range(256)), *("".join(_as_byte_letter(byte) for byte in piece) for piece in pieces)]
    inner = Tokenizer(models.BPE({name: number for number, name in enumerate(dict.fromkeys(names))}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return _wrapped(inner)


def metaspace() -> PreTrainedTokenizerFast:
    """Make a tokenizer of words, which mark the space before them, and bytes for other text, as Llama 2 and Mistral have."""
    words = [word.replace(" ", "▁") for word in [*WORDS, *"abc. ", "\n"]]
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    vocabulary = {name: number for number, name in enumerate(dict.fromkeys(names))}
    inner = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return _wrapped(inner)


def _as_byte_letter(byte: int) -> str:
    """Return GPT-2's letter for a byte: a visible letter stands for itself."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [code for code in range(256) if code not in seen]
    return chr(byte) if byte in seen else chr(256 + hidden.index(byte))


def _wrapped(inner: Tokenizer) -> PreTrainedTokenizerFast:
    inner.add_special_tokens([AddedToken(SPECIAL, normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=SPECIAL)


TOKENIZERS: dict[str, Any] = {"byte-level": byte_level(), "metaspace": metaspace()}


def _ids(kind: str, tokens: Iterable[str]) -> list[int]:
    vocabulary = TOKENIZERS[kind].get_vocab()
    return [vocabulary[token] for token in tokens]


BYTES: dict[str, list[int]] = {
    "byte-level": _ids("byte-level", map(_as_byte_letter, range(256))),
    "metaspace": _ids("metaspace", (f"<0x{byte:02X}>" for byte in range(256))),
}
KINDS = pytest.mark.parametrize("kind", TOKENIZERS)


def splits(data: st.DataObject, kind: str, text: str) -> list[int]:
    """Draw ids of the text, cut into tokens at random: words if they fit, or bytes, with special tokens between them."""
    tokenizer, ids = TOKENIZERS[kind], []
    vocabulary = tokenizer.get_vocab()
    at = 0
    while at < len(text):
        fitting = [word for word in WORDS if text.startswith(word, at) and _name(kind, word) in vocabulary]
        word = data.draw(st.sampled_from([*fitting, None])) if fitting else None
        if word is None:
            ids += [BYTES[kind][byte] for byte in text[at].encode()]
        else:
            ids.append(vocabulary[_name(kind, word)])
        at += len(word or text[at])
        ids += [tokenizer.eos_token_id] * data.draw(st.sampled_from([0, 0, 0, 0, 1, 12]))
    return ids


def _name(kind: str, word: str) -> str:
    return "".join(map(_as_byte_letter, word.encode())) if kind == "byte-level" else word.replace(" ", "▁")


def plain(tokenizer: Any, ids: Sequence[int]) -> str:
    """Decode all ids at once."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def cut(text: str, stop: Sequence[str]) -> str:
    """Return the text before the stop string that begins first, without the white space around it."""
    return text[: min((text.find(string) for string in stop if string in text), default=None)].strip()


def stream(tokenizer: Any, ids: Sequence[int], stop: Sequence[str] = ()) -> tuple[str, list[str], int]:
    """Stream the ids. Returns the final text, the pieces that were taken as it grew, and the number of ids used."""
    growing, pieces, used = TextStream(tokenizer, stop), [], 0
    for used, token in enumerate(ids, 1):  # noqa: B007 - the number is returned
        stopped = growing.add(token)
        pieces.append(growing.take())
        if stopped:
            break
    return growing.finish(), pieces, used


STOPS = st.lists(st.text(ALPHABET, min_size=1, max_size=6), max_size=4)


@KINDS
@settings(deadline=None)
@given(data=st.data(), text=st.text(ALPHABET, max_size=30), stop=STOPS)
def test_a_growing_text_ends_as_the_whole_one_cut_at_the_first_stop(
    kind: str, data: st.DataObject, text: str, stop: list[str]
) -> None:
    """The boundaries of tokens do not matter, and the pieces taken on the way are a beginning of the text."""
    tokenizer = TOKENIZERS[kind]
    ids = splits(data, kind, text)
    expected = cut(plain(tokenizer, ids), stop)
    final, pieces, used = stream(tokenizer, ids, stop)
    assert final == expected
    assert final.startswith("".join(pieces))
    assert "�" not in final
    if used < len(ids):
        assert any(string in plain(tokenizer, ids[:used]) for string in stop)


#: Halves of characters, and bytes that belong to no character.
HALVES = st.lists(st.sampled_from([b"\xff", b"\xe4", b"\xe4\xb8", b"\xf0\x9f\xa6", b"\x8a"]), max_size=20)


@settings(deadline=None)
@given(st.binary(max_size=40) | HALVES.map(b"".join), STOPS)
@example(b"\xff" * 20 + "é".encode(), [])
@example(b"\xff" + b"\xe4\xb8" * 12 + "中".encode(), [])
def test_bytes_that_are_no_text_come_out_as_one_decoder_writes_them(given: bytes, stop: list[str]) -> None:
    """U+FFFD stands for each run that is not UTF-8, of any length, and characters after it are whole."""
    tokenizer = TOKENIZERS["byte-level"]
    ids = [BYTES["byte-level"][byte] for byte in given]
    final, pieces, _ = stream(tokenizer, ids, stop)
    assert final == cut(given.decode(errors="replace"), stop)
    assert final.startswith("".join(pieces))


def test_tokens_that_all_end_within_a_character_spoil_none() -> None:
    """Text comes out without a wait for a token that ends between two characters."""
    tokenizer = TOKENIZERS["byte-level"]
    pieces = ("".join(map(_as_byte_letter, piece)) for piece in (b"\xe4\xb8", b"\xad\xe4\xb8"))
    begin, go_on = _ids("byte-level", pieces)
    final, given, _ = stream(tokenizer, [begin, *[go_on] * 40, BYTES["byte-level"][0xAD]])
    assert final == "".join(given) == "中" * 41
    assert sum(map(bool, given)) > 2


@settings(deadline=None)
@given(st.text(ALPHABET, min_size=1, max_size=10), st.integers(1, 20))
def test_a_byte_that_is_no_text_spoils_no_character_before_it(text: str, broken: int) -> None:
    """Byte fallback decodes a run of bytes as a whole or not at all; text that was taken stays."""
    ids = [BYTES["metaspace"][byte] for byte in f"a{text}中".encode()] + [BYTES["metaspace"][0xFF]] * broken
    assert stream(TOKENIZERS["metaspace"], ids)[0] == f"a{text}中" + "�" * broken


@KINDS
def test_text_comes_out_as_soon_as_it_cannot_change(kind: str) -> None:
    """Half characters, white space that may be the last, and beginnings of stop strings are held back."""
    tokenizer = TOKENIZERS[kind]
    ids = [BYTES[kind][byte] for byte in " a中. éEND".encode()]
    growing, given = TextStream(tokenizer, ["cEND", "é!"]), []
    for token in ids:
        assert not growing.add(token)
        given.append(growing.take())
    assert given == ["", "a", "", "", "中", ".", "", "", "", " éE", "N", "D"]


@KINDS
def test_a_stop_string_that_begins_earlier_may_still_be_coming(kind: str) -> None:
    """The stop string that begins first wins, also if another is complete before it."""
    ids = [BYTES[kind][byte] for byte in b"xabcd"]
    assert stream(TOKENIZERS[kind], ids, ["abcd", "bc"]) == ("x", ["x", "", "", "", ""], 5)
    assert stream(TOKENIZERS[kind], [*ids[:4], *ids[:1]], ["abcd", "bc"])[0::2] == ("xa", 5)
    growing = TextStream(TOKENIZERS[kind], ["abcd", "bc"])
    assert [growing.add(token) for token in ids[:4]] == [False] * 4
    assert (growing.finish(), growing.stopped) == ("xa", True)


@KINDS
def test_a_stream_gives_all_of_its_text(kind: str) -> None:
    """Text that was held back comes after the end."""
    growing = TextStream(TOKENIZERS[kind], ["END"])
    for token in (BYTES[kind][byte] for byte in b" a EN "):
        growing.add(token)
    assert (growing.take(), growing.finish(), growing.take(), growing.take()) == ("a EN", "a EN", "", "")
    held = TextStream(TOKENIZERS[kind], ["END"])
    for token in (BYTES[kind][byte] for byte in b"a EN\xe4"):
        held.add(token)
    assert held.take() == "a"
    assert held.finish() == "a EN�"
    assert held.take() == " EN�"


class Counting:
    """A tokenizer that records the largest number of ids it has to decode."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.most = tokenizer, 0

    def decode(self, ids: list[int], **options: Any) -> str:
        self.most = max(self.most, len(ids))
        return str(self.tokenizer.decode(ids, **options))


@KINDS
@pytest.mark.parametrize("tail", [b"\xff" * 300, b"", b"abc " * 100, "中文🦊".encode() * 50])
def test_the_work_for_a_token_does_not_grow_with_the_answer(kind: str, tail: bytes) -> None:
    """The same holds for answers of only special tokens or broken bytes."""
    tokenizer = Counting(TOKENIZERS[kind])
    specials = [TOKENIZERS[kind].eos_token_id] * 300
    growing = TextStream(tokenizer)
    for token in [*specials, *(BYTES[kind][byte] for byte in tail)]:
        growing.add(token)
    assert tokenizer.most < 24


@pytest.mark.parametrize("name", ["demo", "demo-text"])
def test_the_built_in_models_tokenizers_stream_what_they_decode(name: str) -> None:
    """mlx-vlm's processor holds a tokenizer, mlx-lm wraps one."""
    processor = load(name).processor
    tokenizer = getattr(processor, "tokenizer", processor)
    text = "A red circle , and 中文 🦊; it's 3 . 5 % \n```json\n{ }```"
    ids = tokenizer.encode(text, add_special_tokens=False)
    final, pieces, _ = stream(tokenizer, ids)
    assert final == decode(tokenizer, ids) == "".join(pieces) == text
    assert stream(tokenizer, ids, ["```json"])[0] == cut(text, ["```json"])
