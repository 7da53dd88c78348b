"""Faults of an answer that show without understanding the text: it is empty, ends in a loop, is cut off, or is a refusal."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from worker.engine.refusals import is_refusal

#: Tokens and rounds of a loop at least: shorter repetitions may be style.
LOOP_TOKENS = 24
LOOP_ROUNDS = 3
#: Tokens of one round at most: longer rounds are paragraphs, found by their repeated sentences, and take long to find here.
LONGEST_ROUND = 128
#: Rounds of a loop at least in an answer that ended by itself: such an answer may list many similar things.
_ROUNDS_IF_STOPPED = 8
#: A sentence or line that occurs `_SAYINGS` times among the last `_LAST_SENTENCES` is also a loop, even with numbers or other
#: sentences in a changing order between. A refrain does not occur in every other line.
_LAST_SENTENCES = 12
_SAYINGS = 6
_SAYINGS_IF_STOPPED = 10
#: Words of a sentence at least: shorter ones are labels, closing brackets, laughter.
_SENTENCE_WORDS = 4
#: Ideographs of a sentence at least, if the language is written without spaces.
_SENTENCE_IDEOGRAPHS = 6
_SENTENCE_END = re.compile(r"[.!?。！？\n]+")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_FENCE = re.compile(r"\A\s*```\w*\s*\n(.*?)\n?```\s*\Z", re.DOTALL)


def judge(text: str, token_ids: Sequence[int], finish_reason: str, *, has_thoughts: bool = False) -> str | None:
    """Return `empty` (no letter, digit or sign), `repetition` (ends in a loop), `refusal`, `cut_off` (by the limit), or None.

    Complete JSON is no loop, however similar its objects are, and is not cut off.

    Args:
        finish_reason: `stop` or `length`. An answer that did not end by itself is called a loop earlier.
        has_thoughts: Whether thoughts come before the text: an answer that its limit ends within them is cut off, not empty.
    """
    stopped = finish_reason != "length"
    if not any(character.isalnum() or ord(character) > 0x2000 for character in text):
        return "cut_off" if has_thoughts and not stopped else "empty"
    loops = _ends_in_loop(token_ids, _ROUNDS_IF_STOPPED if stopped else LOOP_ROUNDS) or _repeats_a_sentence(
        text, _SAYINGS_IF_STOPPED if stopped else _SAYINGS
    )
    if loops and not (stopped and _is_json(text)):
        return "repetition"
    if is_refusal(text):
        return "refusal"
    return None if stopped or _is_json(text) else "cut_off"


def _ends_in_loop(ids: Sequence[int], rounds: int) -> bool:
    """Whether the last tokens repeat a round of some length. The last round may be cut off, or followed by a full stop."""
    for end in (len(ids), len(ids) - 1):
        for length in range(1, min(LONGEST_ROUND, end // rounds) + 1):
            needed = max(rounds * length, LOOP_TOKENS)
            if needed <= end and all(
                ids[at] == ids[at - length] for at in range(end - 1, end - needed + length - 1, -1)
            ):
                return True
    return False


def _repeats_a_sentence(text: str, sayings: int) -> bool:
    sentences = [_words(sentence) for sentence in _SENTENCE_END.split(text)]
    last = [sentence for sentence in sentences if sentence is not None][-_LAST_SENTENCES:]
    return any(count >= sayings for count in Counter(last).values())


def _words(sentence: str) -> str | None:
    """Return the sentence without bullet and spacing; None: the sentence is too short."""
    words = sentence.lower().strip(" \t-*•#>|,").split()
    long = len(words) >= _SENTENCE_WORDS or len(_IDEOGRAPH.findall(sentence)) >= _SENTENCE_IDEOGRAPHS
    return " ".join(words) if long else None


def _is_json(text: str) -> bool:
    fenced = _FENCE.match(text)
    try:
        return isinstance(json.loads(fenced[1] if fenced else text), dict | list)
    except (ValueError, RecursionError):
        return False
