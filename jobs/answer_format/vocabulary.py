"""Vocabularies: the only keywords that an answer may have, flat or as a tree.

An entry is a keyword with the keywords above it, as Lightroom and digiKam write hierarchies: `Animals|Dog`. Answers have the last
keyword only; `keyword_paths` finds the levels again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

#: Maximum number of keywords, and of characters of a keyword with its levels. 5,000 keywords compile in some 15 ms.
MAX_WORDS = 20_000
MAX_WORD = 200
#: Between two keywords of an answer.
SEPARATOR = ", "
#: Between two levels of an entry.
LEVEL = "|"
_TAB = 8


def parse_vocabulary(text: str) -> tuple[str, ...]:
    """Read a vocabulary: a keyword a line, below the keyword that is indented less. Returns the entries without keywords below.

    A keyword list that Lightroom exports is such a file: its synonyms ({dog}) are left out, and its brackets ([Animals]).
    """
    above: list[tuple[int, str]] = []
    entries: dict[str, None] = {}
    for line in text.removeprefix("\ufeff").expandtabs(_TAB).splitlines():
        word = line.strip()
        if not word or word.startswith("{"):
            continue
        indent = len(line) - len(line.lstrip())
        while above and above[-1][0] >= indent:
            above.pop()
        if above:
            entries.pop(LEVEL.join(name for _, name in above), None)
        above.append((indent, word.strip("[]")))
        entries[LEVEL.join(name for _, name in above)] = None
    return tuple(entries)


def check_words(words: Iterable[str]) -> tuple[str, ...]:
    """Check the entries of a vocabulary, and return each once. Raises ValueError, which names the entry."""
    entries = tuple(dict.fromkeys(words))
    if not entries:
        raise ValueError("The vocabulary has no words.")
    if len(entries) > MAX_WORDS:
        raise ValueError(f"The vocabulary has {len(entries):,} words; the limit is {MAX_WORDS:,}.")
    for entry in entries:
        shown = entry[:50]
        if len(entry) > MAX_WORD:
            raise ValueError(f"A word of the vocabulary has more than {MAX_WORD} characters: {shown}…")
        if "," in entry:
            raise ValueError(f"{shown!r} has a comma. Write one word a line.")
        if not all(level and level == level.strip() and level.isprintable() for level in entry.split(LEVEL)):
            raise ValueError(f"{shown!r} is not a word: it is blank, or has control characters or spaces at its ends.")
    return entries


def keyword_of(entry: str) -> str:
    """Return the keyword of an entry: its last level."""
    return entry.rpartition(LEVEL)[2]


def keywords_in(text: str) -> list[str]:
    """Split an answer into its keywords."""
    return text.split(SEPARATOR)


def known_keywords(text: str, words: Collection[str], most: int) -> list[str]:
    """Return an answer's keywords that belong to the vocabulary, each once. An answer that was cut off may end in half a word."""
    known = {keyword_of(entry) for entry in words}
    return list(dict.fromkeys(word for word in keywords_in(text) if word in known))[:most]


def keyword_paths(text: str, words: Sequence[str]) -> list[str]:
    """Return an answer's keywords with their levels: `Animals|Dog`. A keyword in several places of the tree stays without."""
    places = Counter(map(keyword_of, words))
    entry_of = {keyword_of(entry): entry for entry in words if places[keyword_of(entry)] == 1}
    return [entry_of.get(word, word) for word in keywords_in(text)]


def keyword_grammar(words: Iterable[str], *, is_first: bool, is_last: bool) -> str:
    """Return the grammar of one keyword of an answer, with the comma after it.

    A keyword after another begins with a space. The comma ends the grammar: the keyword after it may not be the same, which a
    grammar of the whole list could not say.

    Args:
        words: the entries.
        is_first: no keyword stands before.
        is_last: no comma may follow.
    """
    start = ("" if is_first else '" " ') + "WORD" + ("" if is_last else ' ","?')
    keywords = dict.fromkeys(map(keyword_of, words))
    return f"start: {start}\nWORD: " + " | ".join(json.dumps(word, ensure_ascii=False) for word in keywords)
