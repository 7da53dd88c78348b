"""Searching names and captions: each word finds the words that begin with it, and quotes make a phrase of whole words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Connection, Select, column, select, table, text

from jobs.store.pictures.search_words import words_of

#: A phrase in quotes of any kind, or a word. A quote that nothing closes is closed by the end.
_PART = re.compile(r"[\"“”„«»「」]([^\"“”„«»「」]*)(?:[\"“”„«»「」]|$)|([^\s\"“”„«»「」]+)")

_words = table("caption_words", column("id"), column("job_id"), column("words"))
#: Whether SQLite has FTS5, and the rows that it finds.
_INDEX = text("SELECT 1 FROM sqlite_master WHERE name = 'caption_words_index'")
_MATCHING = text("SELECT rowid FROM caption_words_index WHERE caption_words_index MATCH :words").columns(_words.c.id)


@dataclass(frozen=True)
class _Phrase:
    """Words that follow each other."""

    words: list[str]
    #: Whether the last word may be the beginning of a longer one.
    is_open: bool

    def __str__(self) -> str:
        return " ".join(self.words)


def found_ids(connection: Connection, search: str) -> Select[tuple[str]] | None:
    """Build the SELECT of the ids of the ended jobs that a search finds, of all runs; None: the search holds no word.

    Only letters and digits of the search reach the database's own query language.
    """
    phrases = [one for one in _phrases(search) if one.words]
    if not phrases:
        return None
    found = select(_words.c.job_id)
    if connection.dialect.name == "postgresql":
        query = " & ".join(map(_postgres_phrase, phrases))
        return found.where(text("caption_words.words @@ CAST(:words AS tsquery)").bindparams(words=query))
    if connection.execute(_INDEX).first() is not None:
        query = " AND ".join(f'"{one}" *' if one.is_open else f'"{one}"' for one in phrases)
        return found.where(_words.c.id.in_(_MATCHING.bindparams(words=query)))
    # An SQLite without FTS5 reads all words. They stand between spaces.
    return found.where(*(_words.c.words.contains(f" {one}" if one.is_open else f" {one} ") for one in phrases))


def _phrases(search: str) -> list[_Phrase]:
    parts = _PART.finditer(search)
    return [_Phrase(words_of(part[1] if part[2] is None else part[2]), part[2] is not None) for part in parts]


def _postgres_phrase(phrase: _Phrase) -> str:
    words = " <-> ".join(f"'{word}'" for word in phrase.words)
    return f"({words}:*)" if phrase.is_open else f"({words})"
