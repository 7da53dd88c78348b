"""The longest beginning of an answer that has at most so many words or characters."""

from __future__ import annotations

import re
import unicodedata

#: A word: a letter of Chinese, Japanese, Thai, Lao, Khmer or Burmese, which are written without spaces, or a run of others.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
#: The end of a sentence: its mark and closing quotes, ahead of a space or, for full-width marks, anywhere.
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s|$)|[。！？]+[”’」』）]*")
#: Marks that may not end a text that was cut within a sentence.
_DANGLING = " \t\n,;:–—-(、，；："
#: A sentence's end is looked for behind this share of the limit.
_SHARE = 1 / 3
#: Signs that join emoji.
_JOINERS = "\u200d\ufe0f"


def cut_to_words(text: str, most: int) -> str:
    """Return the beginning of a text that has at most `most` words.

    The cut is behind the last whole sentence if that keeps a third of the words, else behind a word.
    """
    words = list(_WORD.finditer(text))
    has_letters = [word for word in words if any(map(str.isalnum, word[0]))]
    if len(has_letters) <= most:
        return text
    kept = text[: has_letters[most].start()].rstrip()
    return _whole_sentences(kept, least=has_letters[max(0, round(most * _SHARE) - 1)].end())


def cut_to_characters(text: str, most: int) -> str:
    """Return the beginning of a text that has at most `most` characters.

    The cut is behind the last whole sentence if that keeps a third of the characters, else behind a word. A first word that is
    longer is cut itself.
    """
    text = text.strip()
    if len(text) <= most:
        return text
    ends = [word.end() for word in _WORD.finditer(text) if word.end() <= most]
    return _whole_sentences(text[: ends[-1] if ends else _sign_end(text, most)], least=round(most * _SHARE))


def _whole_sentences(kept: str, *, least: int) -> str:
    """Drop the last part of a sentence, if `least` characters are left then."""
    ends = [end.end() for end in _SENTENCE_END.finditer(kept) if end.end() >= least]
    return kept[: ends[-1]] if ends else kept.rstrip(_DANGLING)


def _sign_end(text: str, end: int) -> int:
    """Return the last place up to `end` that is not within a letter with its accents, or within an emoji."""
    while end and (unicodedata.combining(text[end]) or text[end] in _JOINERS or text[end - 1] == _JOINERS[0]):
        end -= 1
    return end
