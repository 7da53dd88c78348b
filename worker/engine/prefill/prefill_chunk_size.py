"""The sizes of prefill chunks and of passes of the vision tower: the first, and the largest that measured time may allow."""

from __future__ import annotations

#: Tokens of a model's first prefill chunk. Later chunks take as many as fit into a pause (`time_budget.py`).
FIRST_TOKENS = 256
#: Tokens of a prefill chunk at most: mlx-vlm's own default.
MOST_TOKENS = 2048
#: Patches of one pass of the vision tower at most: about four megapixels. More gained nothing, and takes memory.
MOST_PATCHES = 16_384
