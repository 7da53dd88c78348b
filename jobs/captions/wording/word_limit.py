"""The longest beginning of an answer that has at most so many words."""

from __future__ import annotations

import re

#: A word: a letter of Chinese, Japanese, Thai, Lao, Khmer or Burmese, which are written without spaces, or a run of others.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
#: The end of a sentence: its mark and closing quotes, ahead of a space or, for full-width marks, anywhere.
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s|$)|[。！？]+[”’」』）]*")
#: Marks that may not end a text that was cut within a sentence.
_DANGLING = " \t\n,;:–—-(、，；："
#: A sentence's end is looked for behind this share of the words.
_SHARE = 1 / 3


def cut_to_words(text: str, most: int) -> str:
    """Return the beginning of a text that has at most `most` words.

    The cut is behind the last whole sentence if that keeps a third of the words, else behind a word.
    """
    words = list(_WORD.finditer(text))
    has_letters = [word for word in words if any(map(str.isalnum, word[0]))]
    if len(has_letters) <= most:
        return text
    kept = text[: has_letters[most].start()].rstrip()
    least = has_letters[max(0, round(most * _SHARE) - 1)].end()
    ends = [end.end() for end in _SENTENCE_END.finditer(kept) if end.end() >= least]
    return kept[: ends[-1]] if ends else kept.rstrip(_DANGLING)
