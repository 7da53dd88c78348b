"""Vocabularies of requests, stored once: the rows of jobs refer to them by their hash.

A vocabulary has up to 20,000 words, and each job of a folder asks with the same one. The request that a job is read with has the
words again. Rows of older versions hold them, and are read as they are.
"""

from __future__ import annotations

import hashlib
import re

from sqlalchemy import Column, Connection, Table, Text, insert, select
from sqlmodel import Field, SQLModel

from jobs.store.rows.table_row import TableRow


class StoredVocabulary(TableRow, table=True):
    """Vocabulary of the requests of any number of jobs."""

    __tablename__ = "vocabulary"

    #: SHA-256 of `words`, in hex digits.
    id: str = Field(primary_key=True)
    #: A JSON list.
    words: str = Field(sa_column=Column(Text, nullable=False))


_vocabulary: Table = SQLModel.metadata.tables["vocabulary"]

# A request's JSON has no spaces, and a quote within a text is escaped: neither text occurs within a prompt or a word.
_START, _END = '"response_format":{"type":"vocabulary","words":', ',"max_keywords":'
_REFERENCE = re.compile(re.escape(_START) + r'"sha256:([0-9a-f]{64})"')
#: Characters of words that are worth a row of their own.
LEAST_CHARACTERS = 500
#: Vocabularies that were read, by their hashes, and how many are kept.
_READ: dict[str, str] = {}
_MOST_READ = 16


def with_reference(connection: Connection, request: str, stored: set[str] | None = None) -> str:
    """Store the vocabulary of a request's JSON, and return the JSON with its hash in place of the words.

    `stored`: hashes that are known to be stored; the vocabulary's is added.
    """
    start = request.find(_START) + len(_START)
    if start < len(_START) or request[start] != "[":
        return request
    end = request.index(f"]{_END}", start) + 1
    words = request[start:end]
    if len(words) < LEAST_CHARACTERS:
        return request
    key = hashlib.sha256(words.encode(errors="surrogatepass")).hexdigest()
    stored = set() if stored is None else stored
    if (
        key not in stored
        and connection.execute(select(_vocabulary.c.id).where(_vocabulary.c.id == key)).first() is None
    ):
        connection.execute(insert(_vocabulary).values(id=key, words=words))
    stored.add(key)
    return f'{request[:start]}"sha256:{key}"{request[end:]}'


def with_words(connection: Connection, request: str) -> str:
    """Return a request's JSON with its words, if it refers to a vocabulary."""
    found = _REFERENCE.search(request)
    if found is None:
        return request
    words = _READ.get(found[1])
    if words is None:
        words = str(connection.execute(select(_vocabulary.c.words).where(_vocabulary.c.id == found[1])).scalar_one())
        if len(_READ) >= _MOST_READ:
            _READ.clear()
        _READ[found[1]] = words
    return request[: found.start(1) - len('"sha256:')] + words + request[found.end(1) + 1 :]
