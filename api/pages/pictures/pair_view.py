"""Two answers about a picture side by side, as the page shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from api.pages.pictures.comparisons import second_caption
from api.pages.pictures.picture_view import PictureView, picture_view
from jobs.safe_text import safe_text
from jobs.store.pictures.follow_ups import Pair, Side
from jobs.store.tables import Job

#: Words of an answer up to which differences are marked: the time grows with the square.
MOST_WORDS = 1000
_FLAWS = {
    "empty": "empty",
    "repetition": "repeats itself",
    "cut_off": "cut off",
    "refusal": "refusal",
    "wrong_language": "wrong language",
    "truncated_image": "cut off picture",
}


@dataclass(frozen=True)
class AnswerView:
    """One of the answers."""

    side: Side
    job: PictureView
    #: Pieces of the answer, and whether the other answer lacks them.
    pieces: list[tuple[str, bool]]
    facts: list[str]
    flaw: str | None


@dataclass(frozen=True)
class PairView:
    """A picture with both answers."""

    id: str
    name: str
    answers: tuple[AnswerView, AnswerView]
    is_open: bool
    winner: str | None
    #: Whether the second answer is in the picture's files, and whether it can be written there.
    is_written: bool
    can_be_written: bool


def pair_view(pair: Pair) -> PairView:
    """Return the view of a pair."""
    caption = second_caption(pair)
    first, second = (safe_text(text or "", lines=True) for text in (pair.first.new_text, caption))
    pieces = marked(first, second) if first and second else ([(first, False)], [(second, False)])
    answers = (
        _answer(Side.FIRST, pair.first, pieces[0]),
        _answer(Side.SECOND, pair.second, pieces[1]),
    )
    is_written = caption is not None and pair.first.edited_text == caption.rstrip("\n")
    return PairView(
        id=pair.second.id,
        name=answers[0].job.name,
        answers=answers,
        is_open=answers[1].job.is_open,
        winner=pair.winner,
        is_written=is_written,
        can_be_written=pair.winner == Side.SECOND and caption is not None and not is_written,
    )


def marked(first: str, second: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Cut two texts into pieces, each with whether the other text lacks it. Case and spaces make no difference."""
    words = [re.findall(r"\s*\S+", text) for text in (first, second)]
    if max(map(len, words)) > MOST_WORDS:
        return [(first, False)], [(second, False)]
    bare = [[word.strip().casefold() for word in side] for side in words]
    pieces: tuple[list[tuple[str, bool]], list[tuple[str, bool]]] = ([], [])
    for kind, start, end, other_start, other_end in SequenceMatcher(
        None, bare[0], bare[1], autojunk=False
    ).get_opcodes():
        for side, texts, (begin, stop) in zip(pieces, words, ((start, end), (other_start, other_end)), strict=True):
            if stop > begin:
                side.append(("".join(texts[begin:stop]), kind != "equal"))
    return pieces


def _answer(side: Side, job: Job, pieces: list[tuple[str, bool]]) -> AnswerView:
    facts = []
    if job.completion_tokens is not None:
        facts.append(f"{job.completion_tokens} token{'' if job.completion_tokens == 1 else 's'}")
    times = [time for time in (job.preprocess_seconds, job.prefill_seconds, job.decode_seconds) if time is not None]
    if times:
        facts.append(f"{sum(times):.2f} s")
    if job.cached:
        facts.append("cached")
    return AnswerView(side, picture_view(job), pieces, facts, _FLAWS.get(job.quality or ""))
