"""What can be seen of an answer's quality without reading it: that there is nothing, or the same thing over and over."""

from __future__ import annotations

from collections.abc import Sequence

#: A loop of so many tokens, and of so many rounds, is no style any more.
LOOP_TOKENS = 24
LOOP_ROUNDS = 3
#: Tokens of one round at most: longer ones are paragraphs, which nobody says three times either, but they take long to find.
LONGEST_ROUND = 128
#: An answer that ended by itself may list much that is alike: it takes so many rounds more to be called a loop.
_ROUNDS_IF_STOPPED = 8


def judge(text: str, token_ids: Sequence[int], finish_reason: str) -> str | None:
    """`empty` (no letter, no digit, no sign), `repetition` (it ends in a loop), or None: nothing was noticed."""
    if not any(character.isalnum() or ord(character) > 0x2000 for character in text):
        return "empty"
    rounds = LOOP_ROUNDS if finish_reason == "length" else _ROUNDS_IF_STOPPED
    return "repetition" if _ends_in_loop(token_ids, rounds) else None


def _ends_in_loop(ids: Sequence[int], rounds: int) -> bool:
    """Whether the last tokens are a round of some length, repeated: the last round may be cut off, or followed by a full stop."""
    for end in (len(ids), len(ids) - 1):
        for length in range(1, min(LONGEST_ROUND, end // rounds) + 1):
            needed = max(rounds * length, LOOP_TOKENS)
            if needed <= end and all(
                ids[at] == ids[at - length] for at in range(end - 1, end - needed + length - 1, -1)
            ):
                return True
    return False
