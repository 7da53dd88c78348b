"""Splitting answers into reasoning and content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.models.text.thoughts import (
    CONTENT_MARKS,
    THOUGHT_MARKS,
    ThoughtMarks,
    ThoughtSplitter,
    split_thoughts,
)

THINK = ThoughtMarks("<think>", "</think>")
#: Pieces of answers: marks, halves of marks, words, white space.
PIECES = ["<think>", "</think>", "<thinking>", "◁think▷", "◁/think▷", "<answer>", "</answer>", "<|end_of_box|>"]
PIECES += ["<thi", "nk>", "</", "<", "◁", " ", "\n", "A red circle.", "thought", "<|channel>thought", "<channel|>"]


@pytest.mark.parametrize("marks", THOUGHT_MARKS, ids=lambda marks: marks.open)
@pytest.mark.parametrize("opened", [False, True])
def test_the_thoughts_of_each_family_are_cut_away(marks: ThoughtMarks, opened: bool) -> None:
    """The thought begins in the answer or in the prompt; an answer that ends within it has no content."""
    begun = "" if opened else f"\n{marks.open}"
    prompt_opened = marks if opened else None
    answer = f"{begun}\nThe user wants it short.\n\n{marks.close}\n\nA red circle.\n"
    assert split_thoughts(answer, [marks], prompt_opened) == ("The user wants it short.", "A red circle.")
    assert split_thoughts(f"{begun} The user", [marks], prompt_opened) == ("The user", "")
    assert split_thoughts(f"{begun}{marks.close}A red circle.", [marks], prompt_opened) == ("", "A red circle.")


@pytest.mark.parametrize(
    ("answer", "known", "reasoning", "content"),
    [
        ("The user. </think> A red square.", [THINK], "The user.", "A red square."),
        ("<think>a</think> b </think> c", [], "a\n\nb", "c"),
        ("<think>a</think>\n<think>b</think>\nc", [], "a\n\nb", "c"),
        ("A <think>b</think> c", [THINK], "b", "A  c"),
        ("<think>a</think><answer><|begin_of_box|>3<|end_of_box|></answer>", [THINK], "a", "3"),
        ("There are <|begin_of_box|>3<|end_of_box|>.", [THINK], "", "There are 3."),
        ("Let me count. <answer>3</answer>", [THINK], "Let me count.", "3"),
        ("<answer>3</answer>", [], "", "3"),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>3",
            [],
            "a",
            "3",
        ),
        ("The page says <think>, and </think> later.", [], "", "The page says <think>, and </think> later."),
        ("<reasoning>a</reasoning>b", [], "", "<reasoning>a</reasoning>b"),
        ("<thi", [], "", "<thi"),
        ("", [THINK], "", ""),
    ],
)
def test_marks_count_where_a_model_writes_them(
    answer: str, known: list[ThoughtMarks], reasoning: str, content: str
) -> None:
    """Where the content of an unknown model has begun, marks are words."""
    assert split_thoughts(answer, known) == (reasoning, content)


@given(
    st.lists(st.sampled_from(PIECES), max_size=12),
    st.lists(st.integers(1, 9), max_size=60),
    st.sampled_from([[], [THINK], list(THOUGHT_MARKS)]),
    st.sampled_from([None, THINK]),
    st.booleans(),
)
def test_parts_make_no_difference(
    pieces: list[str], sizes: list[int], known: list[ThoughtMarks], opened: ThoughtMarks | None, retracts: bool
) -> None:
    """A streamed answer has the same reasoning and content however it is cut into parts."""
    answer = "".join(pieces)

    def grown(parts: list[str]) -> tuple[str, str]:
        splitter, reasoning, content = ThoughtSplitter(known, opened, retracts=retracts), "", ""
        splits = [split for part in parts for split in splitter.add(part)] + splitter.finish()
        for split in splits:
            assert retracts or not split.retracts
            if split.retracts:
                reasoning, content = reasoning + content, ""
            reasoning, content = reasoning + split.reasoning, content + split.content
        return reasoning, content

    parts, rest = [], answer
    for size in sizes:
        parts.append(rest[:size])
        rest = rest[size:]
    whole = grown([answer])
    assert grown([*parts, rest]) == grown(list(answer)) == whole
    if known and retracts:
        assert not any(mark in whole[1] for mark in (*CONTENT_MARKS, THINK.open, THINK.close))


@given(st.text(st.characters(exclude_characters="<◁["), max_size=80))
def test_an_answer_without_marks_is_content(answer: str) -> None:
    """Nothing is lost of an ordinary answer, of any model."""
    assert split_thoughts(answer, THOUGHT_MARKS) == ("", answer.strip())
