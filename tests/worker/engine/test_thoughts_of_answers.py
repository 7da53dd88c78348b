"""Thoughts of a model on their way through the engine: they are in no text, whether it is followed or not."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from jobs.answer_format.response_format import JSONObjectFormat
from jobs.models.model_info import built_in_models
from jobs.requests import Message, Request
from jobs.sampling import Sampling
from jobs.store.result import Result
from worker.engine.engine import Engine
from worker.engine.sequences import TextDelta
from worker.models.backends import TextBackend
from worker.models.inputs import AnswerRules
from worker.models.loader import load
from worker.models.text.thoughts import ThoughtMarks

THINK = ThoughtMarks("<think>", "</think>")
COUNT = Request(model="demo-text", messages=[Message(role="user", content="Count to ten.")])
#: The answer to `COUNT`, with a mark in the place of a word.
THOUGHTS, TEXT = "two three four", "six seven eight nine ten"


class MarkedWords:
    """A tokenizer of the demo model in which words are marks. Each of the words is a token."""

    def __init__(self, tokenizer: Any, words: dict[str, str]) -> None:
        self._tokenizer = tokenizer
        self._words = words

    def decode(self, ids: Sequence[int], **options: Any) -> str:
        """Decode each id by itself."""
        texts = (self._tokenizer.decode([number], **options) for number in ids)
        return "".join(self._words.get(text.strip(), text) for text in texts)


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> TextBackend:
    """A text model whose chat template opens a thought, as that of Qwen3-VL-Thinking does."""
    folder = tmp_path_factory.mktemp("models") / "thinking"
    shutil.copytree(built_in_models()["demo-text"], folder)
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text() + "{{ '<think>\\n' if add_generation_prompt }}")
    return TextBackend(load(str(folder)))


def answered(
    backend: TextBackend, *, followed: bool, opened: bool = False, **sampling: Any
) -> tuple[Result, list[TextDelta]]:
    """Answer `COUNT` as a model does whose prompt has opened a thought, or has not. Returns the result and the deltas."""
    plain = backend.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Count to ten."}], tokenize=False, add_generation_prompt=True
    ).removesuffix("<think>\n")
    prepared = backend.prepare(COUNT.model_copy(update={"sampling": Sampling(**sampling)}), [])
    prepared = replace(
        prepared, ids=backend.tokenizer.encode(plain), rules=AnswerRules(thought=THINK if opened else None)
    )
    words = {"five": THINK.close} if opened else {"one": THINK.open, "five": THINK.close}
    backend.thinking.tokenizer = MarkedWords(backend.tokenizer, words)
    engine, deltas, outcomes = Engine(backend, slots=2), [], []
    engine.admit("it", prepared, followed=followed)
    while engine.busy:
        outcomes += engine.step()
        deltas += engine.said()
    return outcomes[0].answer, deltas


@pytest.mark.parametrize("followed", [False, True])
@pytest.mark.parametrize("stop", [[], ["three"], ["nine"]])
def test_thoughts_are_no_text(thinking: TextBackend, followed: bool, stop: list[str]) -> None:
    """All tokens are counted. Stop strings end the text, and mean nothing within the thoughts."""
    result, deltas = answered(thinking, followed=followed, stop=stop)
    assert result.reasoning == THOUGHTS
    assert result.text == (TEXT if stop != ["nine"] else "six seven eight")
    assert result.completion_tokens == (9 if stop == ["nine"] else 10)
    assert (result.finish_reason, result.quality) == ("stop", None)
    said, thought = "".join(one.text for one in deltas), "".join(one.reasoning for one in deltas)
    assert (bool(said), thought) == (followed, THOUGHTS if followed else "")
    assert result.text.startswith(said)


@pytest.mark.parametrize("followed", [False, True])
def test_an_answer_that_ends_in_its_thoughts_is_cut_off(thinking: TextBackend, followed: bool) -> None:
    """It has no text."""
    result, deltas = answered(thinking, followed=followed, max_tokens=3)
    assert (result.text, result.reasoning, result.quality) == ("", "two three", "cut_off")
    assert not any(one.text for one in deltas)


def test_a_thought_may_begin_in_the_prompt(thinking: TextBackend) -> None:
    """The answer begins within it."""
    result, _ = answered(thinking, followed=True, opened=True)
    assert (result.reasoning, result.text) == (f"one {THOUGHTS}", TEXT)
    assert thinking.prepare(COUNT, []).rules.thought == THINK


def test_a_grammar_leaves_no_room_for_thoughts(thinking: TextBackend) -> None:
    """A thought that the template opens is closed in the prompt of a request for JSON."""
    prepared = thinking.prepare(COUNT.model_copy(update={"response_format": JSONObjectFormat()}), [])
    assert prepared.rules.thought is None
    assert thinking.tokenizer.decode(prepared.ids).endswith("<think>\n\n</think>\n\n")
