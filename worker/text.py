"""From token ids to text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def decode(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of a whole answer, without special tokens and the white space around it.

    All ids are decoded at once: a character whose bytes are spread over several tokens comes out whole, and bytes that are no
    UTF-8 come out as U+FFFD. mlx-vlm's own streaming detokeniser drops them.
    """
    # Clean-up would remove the space before punctuation, in code and JSON too.
    text: str = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text.strip()
