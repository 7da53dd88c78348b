"""The memory that a model needs, estimated from its files before it is loaded. The worker measures it afterwards."""

from __future__ import annotations

from typing import Any

from jobs.models.model_info import config_parts

#: Share of the memory free beside the model that keys and values may take. When sequences join or leave, the caches are copied:
#: for a moment both copies are in memory.
KV_SHARE = 0.5
#: Tokens of a sequence: a picture of a megapixel by a Qwen3-VL, a prompt, and a caption.
USUAL_TOKENS = 1280
#: Bytes of a number in the caches: half precision.
_HALF = 2


def kv_bytes(config: dict[str, Any]) -> int | None:
    """Return the bytes of keys and values that a token takes at most; None: the config does not say.

    Layers with a window or with a state of fixed size take less.
    """
    part = config_parts(config)[0]
    layers, heads, width = (
        _whole(part.get(name)) for name in ("num_hidden_layers", "num_attention_heads", "hidden_size")
    )
    size = _whole(part.get("head_dim")) or (width // heads if width and heads else None)
    key_heads = _whole(part.get("num_key_value_heads")) or heads
    return 2 * layers * key_heads * size * _HALF if layers and key_heads and size else None


def sequences_that_fit(weights: int, token_bytes: int, limit: int) -> int:
    """Return how many sequences of the usual length fit beside the weights; 0: the model does not fit.

    Args:
        weights: bytes of the model.
        token_bytes: bytes of keys and values of a token.
        limit: bytes that models may use.
    """
    return max(0, int((limit - weights) * KV_SHARE / (token_bytes * USUAL_TOKENS)))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
