"""Splitting answers into content and calls of functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.models.text.call_splitter import CallSplitter
from worker.models.text.thoughts import ThoughtMarks, ThoughtSplitter
from worker.sampling.call_format import FORMATS, HERMES, LLAMA, CallFormat

ARGUMENTS = '{"city": "a } \\" {\u2028[", "n": [1, {"x": {}}]}'


def split(form: CallFormat, *pieces: str, thoughts: ThoughtSplitter | None = None) -> tuple[str, str, str]:
    """Return the thoughts, the content and the calls of an answer."""
    splitter = CallSplitter(form, thoughts)
    parts = [part for piece in pieces for part in splitter.add(piece)] + splitter.finish()
    return tuple("".join(getattr(part, name) for part in parts) for name in ("reasoning", "content", "calls"))  # type: ignore[return-value]


def written(form: CallFormat, count: int) -> str:
    """Return an answer of this many calls."""
    one = f"{form.head}f.x{form.middle}{ARGUMENTS}{form.tail}"
    return form.begin + form.between.join([one] * count) + form.end


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.begin + form.head)
@given(data=st.data())
def test_calls_in_every_form_are_cut_out(form: CallFormat, data: st.DataObject) -> None:
    """The calls are the same however the answer is cut into pieces, also within marks, strings and brackets."""
    count = 2 if form.several else 1
    before = "" if form.only_at_start else "Let me look: < [ "
    answer = before + written(form, count)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=8)))
    pieces = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    assert split(form, *pieces) == ("", before, f"f.x\n{ARGUMENTS}\n" * count)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.begin + form.head)
def test_text_without_calls_stays_whole(form: CallFormat) -> None:
    """Also when it ends in half a mark."""
    for text in ("", "Hello {", 'Not a {"name": "x"', form.trigger[:-1], f"Well, {form.trigger[:3]}"):
        assert split(form, *text) == ("", text, "")


def test_a_call_that_is_cut_off_keeps_its_arguments() -> None:
    """Without a whole name it is dropped: a client could not call it."""
    assert split(HERMES, '<tool_call>\n{"name": "f", "arguments": {"a": [1') == ("", "", 'f\n{"a": [1')
    assert split(HERMES, 'So <tool_call>\n{"name": "f') == ("", "So ", "")


def test_json_within_a_text_is_no_call() -> None:
    """Llama's calls are bare JSON: they count only where the answer begins."""
    text = 'For example: {"name": "f", "parameters": {}}'
    assert split(LLAMA, *text) == ("", text, "")
    assert split(LLAMA, *('\n {"name": "f", "parameters": {}}')) == ("", "\n ", "f\n{}\n")


def test_thoughts_come_before_calls() -> None:
    """A mark of a call within a thought is a part of the thought."""
    thoughts = ThoughtSplitter([ThoughtMarks("<think>", "</think>")])
    answer = '<think>Use <tool_call>?</think><tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    assert split(HERMES, *answer, thoughts=thoughts) == ("Use <tool_call>?", "", "f\n{}\n")
