"""Control tokens that a request's text spells out: the model reads them as text, never as control tokens.

A chat template turns a conversation into one string, and the tokenizer, like a vision model's processor, takes every `<|im_end|>`
or `<image>` in that string for a control token, no matter if the template or a client wrote it. transformers'
`sanitize_control_tokens` marks those of the messages, but mlx-vlm's processors do not know it.

Here each literal (a control token that a message spells out) becomes a run of stand-ins, as many as the literal has ids as plain
text. The stand-in is a token of captionq's own, added to the tokenizer; these ids replace the stand-ins before the model sees
them. So the length of the prompt, and everything that the processor derives from it, is right from the start.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from os.path import commonprefix
from typing import Any

from jobs.errors import InvalidRequestError, ModelError
from jobs.requests import Message, TextPart
from worker.models.loader import LoadedModel
from worker.models.text.chat_template import ChatTemplate
from worker.models.text.tool_template import as_json, with_arguments

#: Markers of images that processors look for in the prompt. The bounds keep the search linear.
_IMAGE_MARKER = r"<[^<>\s]{0,40}(?i:image|img|video|audio|placeholder)[^<>\s]{0,40}>"
#: Tokens that templates look for in an assistant's messages, to leave its thoughts out of the prompt.
_THOUGHTS = frozenset({"<think>", "</think>"})
#: Private-use characters. Two that the request's text does not contain mark the start and end of a literal in the template.
_PRIVATE = range(0xF0000, 0xFFFFE)


@dataclass(frozen=True)
class ShieldedPrompt:
    """A prompt in which stand-ins replace the literals."""

    text: str
    #: The ids of the literals as plain text, one for each stand-in, in their order.
    ids: tuple[int, ...] = ()


class ControlTokens:
    """The control tokens of one model. Not thread-safe, because the tokenizer is not."""

    def __init__(self, loaded: LoadedModel, chat_template: ChatTemplate) -> None:
        """Add the stand-in to the tokenizer, with an id that the model does not know."""
        vision = loaded.info.modality == "vision"
        self._chat_template = chat_template
        self._tokenizer = _tokenizer(loaded.processor)
        self._stand_in, self._stand_in_id = _add_stand_in(self._tokenizer, set(_numbers(loaded.config)))
        contents = _control_tokens(self._tokenizer, chat_template)
        contents |= _named_tokens(loaded.processor) if vision else set()
        contents = {content for content in contents if len(content.strip()) > 1}
        self._controls = _ids_of(contents, self._tokenizer)
        self._pattern = _pattern(contents, vision)
        self._assistant_pattern = _pattern(contents - _THOUGHTS, vision)

    def prompt(
        self, messages: list[Message], definitions: Sequence[dict[str, Any]] = (), *, thinks: bool = False
    ) -> ShieldedPrompt:
        """Render the prompt of a `Conversation` with its literals shielded; without literals it is the chat template's prompt.

        Raises:
            InvalidRequestError: The template refuses the messages, or a literal cannot be shielded.
            ModelError: See `ChatTemplate.prompt`.
        """
        texts = ["".join(_texts(message)) for message in messages]
        texts += [as_json(one) for one in definitions]
        if not any(self._pattern.search(text) for text in texts):
            return ShieldedPrompt(self._chat_template.prompt(messages, definitions, thinks=thinks))
        start, end = _unused_characters("".join(texts))
        marked = [self._mark(message, start, end) for message in messages]
        tools = [json.loads(_marked([as_json(one)], self._pattern, start, end)[0]) for one in definitions]
        prompt = self._chat_template.prompt(marked, tools, thinks=thinks)
        return self._shield(prompt, start, end)

    def restore(self, ids: list[int], shielded: ShieldedPrompt) -> list[int]:
        """Return the prompt's ids with the literals' ids in place of the stand-ins.

        Raises:
            ModelError: The processor added or removed stand-ins.
        """
        if not shielded.ids:
            return ids
        if sum(token == self._stand_in_id for token in ids) != len(shielded.ids):
            raise ModelError(
                "The model's processor changed text that looks like its control tokens. Leave such text out."
            )
        texts = iter(shielded.ids)
        return [next(texts) if token == self._stand_in_id else token for token in ids]

    def _mark(self, message: Message, start: str, end: str) -> Message:
        pattern = self._assistant_pattern if message.role == "assistant" else self._pattern
        if message.tool_calls:
            written = [_marked([as_json(call.arguments)], self._pattern, start, end)[0] for call in message.tool_calls]
            message = with_arguments(message, written)
        if isinstance(message.content, str):
            (marked,) = _marked([message.content], pattern, start, end)
            return message.model_copy(update={"content": marked})
        parts: list[Any] = []
        for are_texts, run in groupby(message.content, key=lambda part: isinstance(part, TextPart)):
            if not are_texts:
                parts += run
                continue
            texts = [part.text for part in run if isinstance(part, TextPart)]
            # A template of parts joins texts without a separator: a literal may begin in one and end in the next.
            runs = [[text] for text in texts] if self._chat_template.takes_string(message) else [texts]
            parts += [TextPart(text=text) for run in runs for text in _marked(run, pattern, start, end)]
        return message.model_copy(update={"content": parts})

    def _shield(self, prompt: str, start: str, end: str) -> ShieldedPrompt:
        ids: list[int] = []
        # A text may contain the same literal a hundred thousand times.
        as_text = cache(self._as_text)

        def stand_ins(match: re.Match[str]) -> str:
            plain = as_text(match[1])
            ids.extend(plain)
            return self._stand_in * len(plain)

        text = re.sub(f"{start}([^{start}{end}]*){end}", stand_ins, prompt)
        # A template that splits texts may leave one mark of a pair.
        return ShieldedPrompt(re.sub(f"[{start}{end}]", "", text), tuple(ids))

    def _as_text(self, literal: str) -> list[int]:
        """Return the ids of a literal as plain text. Raises InvalidRequestError if there are none."""
        # Some vocabularies hold control tokens as words too. Cut in two, the literal is not found there.
        for cut in range(len(literal) if self._stand_in else 0):
            ids = [token for part in (literal[:cut], literal[cut:]) if part for token in self._plain(part)]
            if not self._controls.intersection(ids):
                return ids
        raise InvalidRequestError(f"The model cannot take '{literal}' as text. Leave it out, or spell it differently.")

    def _plain(self, text: str) -> list[int]:
        # sentencepiece's tokenizers put a space before a text, except after a line break, whose ids are removed again.
        encode = self._tokenizer._encode_without_added_tokens  # noqa: SLF001 - see tests/worker/test_contracts.py
        before, ids = encode("\n"), encode("\n" + text)
        return list(ids[len(before) :] if ids[: len(before)] == before else encode(text))


def _marked(texts: list[str], pattern: re.Pattern[str], start: str, end: str) -> list[str]:
    """Return adjacent texts with each literal between two marks. A literal that spans two texts moves to the first of them."""
    joined = "".join(texts)
    spans = [match.span() for match in pattern.finditer(joined)]
    if not spans:
        return texts
    marked: list[str] = []
    begin = border = 0
    for text in texts:
        border += len(text)
        until = max(begin, next((last for first, last in spans if first < border < last), border))
        marked.append(pattern.sub(lambda match: f"{start}{match[0]}{end}", joined[begin:until]))
        begin = until
    return marked


def _texts(message: Message) -> Iterator[str]:
    yield from (as_json(call.arguments) for call in message.tool_calls)
    if isinstance(message.content, str):
        yield message.content
    else:
        yield from (part.text for part in message.content if isinstance(part, TextPart))


def _unused_characters(text: str) -> tuple[str, str]:
    used = set(text)
    unused = (chr(code) for code in _PRIVATE if chr(code) not in used)
    start, end = next(unused, None), next(unused, None)
    if start is None or end is None:
        raise InvalidRequestError("The messages hold every character for private use. Leave some out.")
    return start, end


def _tokenizer(processor: Any) -> Any:
    """Return transformers' tokenizer: a vision model's processor holds it, mlx-lm wraps it."""
    outer = getattr(processor, "tokenizer", processor)
    inner = getattr(outer, "_tokenizer", outer)
    return inner if hasattr(inner, "added_tokens_decoder") else outer


def _add_stand_in(tokenizer: Any, reserved: set[int]) -> tuple[str, int | None]:
    """Add the stand-in; return its text and an id that the config does not name, or ("", None) if no token can be added."""
    from transformers import AddedToken

    for number in range(len(reserved) + 1):
        stand_in = f"<|captionq:text:{number}|>"
        try:
            tokenizer.add_tokens([AddedToken(stand_in, special=True, normalized=False)], special_tokens=True)
        except (AttributeError, NotImplementedError, TypeError, ValueError):
            break
        token = tokenizer.convert_tokens_to_ids(stand_in)
        if token is not None and token != tokenizer.unk_token_id and token not in reserved:
            return stand_in, token
    return "", None


def _control_tokens(tokenizer: Any, chat_template: ChatTemplate) -> set[str]:
    """Return special tokens, and other added tokens that the template writes: some tokenizers do not mark theirs as special."""
    # Tokens in the template's source, by transformers' own rule, and tokens that the template puts together.
    tokens = set(tokenizer._get_control_tokens(chat_template.template))  # noqa: SLF001 - see tests/worker/test_contracts.py
    written = chat_template.prompt([Message(role="user", content="-")])
    added = (token.content for token in tokenizer.added_tokens_decoder.values())
    tokens |= {content for content in added if re.search(r"[^\w\s]", content) and content in written}
    return tokens | set(tokenizer.all_special_tokens)


def _ids_of(contents: set[str], tokenizer: Any) -> frozenset[int]:
    known = tokenizer.get_vocab()
    # A token that the vocabulary lacks has the id of unknown tokens, which is no control token.
    return frozenset(known[content] for content in contents if content in known) - {tokenizer.unk_token_id}


def _named_tokens(processor: Any) -> set[str]:
    """Return the tokens that a processor names: `image_token`, `boi_token`, `fake_image_token` and the like."""
    names = [name for name in dir(processor) if name.endswith("_token")]
    values = [getattr(processor, name, None) for name in names]
    return {str(value) for value in values if isinstance(value, str) or hasattr(value, "content")}


def _numbers(config: Any) -> Iterator[int]:
    """Yield all ids that a config names."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif isinstance(value, int) and name.endswith(("_id", "_index")):
            yield value


def _pattern(contents: set[str], vision: bool) -> re.Pattern[str]:
    """Return an expression that finds literals. As in tokenizers, the longer of two that begin alike matches."""
    alternatives = [_any_of(list(contents))] * bool(contents) + [_IMAGE_MARKER] * vision
    # Without an alternative the expression matches nothing.
    return re.compile("|".join(alternatives) or "(?!)")


def _any_of(words: list[str]) -> str:
    """Return an expression for these words that shares their beginnings: some tokenizers have thousands that begin alike."""
    by_first: dict[str, list[str]] = {}
    for word in filter(None, words):
        by_first.setdefault(word[0], []).append(word[1:])
    branches: list[str] = []
    for first, rests in sorted(by_first.items()):
        shared = commonprefix(rests)  # noqa: RUF071 - characters are meant
        rests = [rest[len(shared) :] for rest in rests]
        branches.append(re.escape(first + shared) + (_any_of(rests) if any(rests) else ""))
    return f"(?:{'|'.join(branches)})" + "?" * ("" in words)
