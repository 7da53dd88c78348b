"""The words by which pictures are found: of names and captions, one row for each job of a batch that has ended.

Words are cut here, and the same way for both databases and for queries, so that FTS5 and Postgres only compare them. Scripts
without spaces between words are cut into characters: any part of a Chinese or Japanese text is found as a phrase.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from jobs.requests import path_of

#: Characters of a word, and words of a job: a `tsvector` holds no more.
LONGEST_WORD, MOST_WORDS = 64, 16_000
#: Stands between two texts, so that no phrase reaches from one into the other. No query holds it.
BREAK = "\N{PILCROW SIGN}"
#: Thai to Tibetan, Burmese, Khmer, Han with its radicals, kana, and Hangul, whose compounds have no spaces either.
_SPACELESS = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u31f0-\u31ff\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00016fe0-\U00018fff\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
#: Names of files are cut between letters and digits too: `IMG0042` is found by `42` after zeros, as `0042`.
_WORD = re.compile(rf"(?=\w)[{_SPACELESS}]|\d+|[^\W\d_{_SPACELESS}]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")


def words_of(given: str) -> list[str]:
    """Cut a text into its words: without case, accents and punctuation."""
    folded = given.casefold()
    if not folded.isascii():
        bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", folded))
        # Folded again: the parts of a ligature or a letter in a circle may be capitals.
        folded = unicodedata.normalize("NFKC", bare).casefold()
    return [word[:LONGEST_WORD] for word in _WORD.findall(folded)]


def index_words(connection: Connection, *rows: Row[Any]) -> None:
    """Write the words of jobs that have ended, in the transaction that ends them or changes their captions.

    Args:
        rows: with `id`, `batch_id`, `source`, `text`, `output_text` and `edited_text`. Only jobs of batches are searched.
    """
    is_postgres = connection.dialect.name == "postgresql"
    values = [
        {"job_id": row.id, "words": _vector(_all_words(row)) if is_postgres else f" {' '.join(_all_words(row))} "}
        for row in rows
        if row.batch_id is not None
    ]
    if values:
        connection.execute(_writing(is_postgres=is_postgres), values)


def _all_words(row: Row[Any]) -> list[str]:
    source = row.source or ""
    words = words_of(path_of(source).name if source.startswith("file:") else source)
    for one in (row.text if row.output_text is None else row.output_text, row.edited_text):
        if one:
            words += [BREAK, *words_of(one)]
    return words[:MOST_WORDS]


def _vector(words: list[str]) -> str:
    return " ".join(f"'{word}':{place}" for place, word in enumerate(words, 1))


@cache
def _writing(*, is_postgres: bool) -> TextClause:
    value = "CAST(:words AS tsvector)" if is_postgres else ":words"
    return text(
        f"INSERT INTO caption_words (job_id, words) VALUES (:job_id, {value}) "  # noqa: S608
        "ON CONFLICT (job_id) DO UPDATE SET words = excluded.words"
    )
