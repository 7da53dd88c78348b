"""The keys and values of several rows, a cache object a layer: made, padded, joined, filtered.

mlx-vlm and mlx-lm have the same classes under the same names; the contract tests hold the parts of them that are used here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

#: A cache for each layer.
Caches = list[Any]
#: The kinds of which several rows can be filled at once, left-padded; the others' state runs on through padding.
_PADDABLE = ("KVCache", "RotatingKVCache")


def make(model: Any) -> Caches:
    """Empty caches for one row, as the model wants them."""
    if hasattr(model, "make_cache"):
        caches: Caches = model.make_cache()
        return caches
    kind = _kv_cache(model)
    return [kind() for _ in model.layers]


def make_padded(model: Any, padding: Sequence[int]) -> Caches:
    """Empty caches for several rows, of which each begins with so many columns that are never looked at."""
    merged = []
    for cache in make(model):
        batched = type(cache).merge([cache] * len(padding))
        batched.prepare(left_padding=list(padding))
        merged.append(batched)
    return merged


def can_pad(model: Any) -> bool:
    """Whether `make_padded` is possible."""
    return all(type(cache).__name__ in _PADDABLE and not getattr(cache, "keep", 0) for cache in make(model))


def can_share_prefix(model: Any) -> bool:
    """Whether the first tokens of one row can be handed to another: not where old tokens are thrown away."""
    return all(type(cache).__name__ == "KVCache" for cache in make(model))


def can_join(model: Any) -> bool:
    """Whether the caches of one row can be joined with another's."""
    return all(_is_batch(cache) or _can_merge(cache) for cache in make(model))


def batched(caches: Caches) -> Caches:
    """The caches of one row as those of a batch of one, for a model that `can_join`."""
    return [cache if _is_batch(cache) else type(cache).merge([cache]) for cache in caches]


def extend(caches: Caches, others: Caches) -> Caches:
    """Both batches in one, the others' rows last. Changes `caches`."""
    for cache, other in zip(caches, others, strict=True):
        cache.extend(other)
    return caches


def keep(caches: Caches, rows: Sequence[int]) -> None:
    """Only these rows stay, in this order."""
    index = mx.array(list(rows), mx.int32)
    for cache in caches:
        cache.filter(index)


def arrays(caches: Caches) -> list[Any]:
    """All that they hold, to be evaluated."""
    return [cache.state for cache in caches]


def size(caches: Caches) -> int:
    """Bytes that they hold."""
    return sum(array.nbytes for _, array in tree_flatten([arrays(caches)]) if isinstance(array, mx.array))


def preload(caches: Caches, prefix: Sequence[tuple[Any, Any]], columns: int, padding: Sequence[int]) -> None:
    """Fill the first `columns` columns of empty padded caches with the keys and values (1, heads, tokens, width) of a prefix.

    A row of padding p has the first `columns` − p tokens of it there.
    """
    for cache, (keys, values) in zip(caches, prefix, strict=True):
        cache.keys = mx.concatenate([_shifted(keys, columns, pad) for pad in padding])
        cache.values = mx.concatenate([_shifted(values, columns, pad) for pad in padding])
        cache.offset = cache.offset + columns
        cache._idx = columns  # noqa: SLF001


def preload_row(caches: Caches, prefix: Sequence[tuple[Any, Any]], columns: int) -> None:
    """The same for the empty caches of one row."""
    for cache, (keys, values) in zip(caches, prefix, strict=True):
        cache.update_and_fetch(keys[:, :, :columns], values[:, :, :columns])


def prefix_of(caches: Caches, row: int, start: int, tokens: int) -> list[tuple[Any, Any]]:
    """A copy of the keys and values (1, heads, tokens, width) of a row's columns from `start` on."""
    part = (slice(row, row + 1), slice(None), slice(start, start + tokens))
    return [(mx.contiguous(cache.keys[part]), mx.contiguous(cache.values[part])) for cache in caches]


def _shifted(array: Any, columns: int, pad: int) -> Any:
    pad = min(pad, columns)
    return mx.pad(array[:, :, : columns - pad], [(0, 0), (0, 0), (pad, 0), (0, 0)])


def _is_batch(cache: Any) -> bool:
    children = getattr(cache, "caches", None)
    if children is not None:
        return all(_is_batch(child) for child in children)
    return callable(getattr(cache, "filter", None)) and callable(getattr(cache, "extend", None))


def _can_merge(cache: Any) -> bool:
    """Whether its class says how. An inherited `merge` would make a plain cache of it, without what the class is there for."""
    return "merge" in vars(type(cache)) and all(_can_merge(child) for child in getattr(cache, "caches", ()))


def _kv_cache(model: Any) -> Any:
    if type(model).__module__.startswith("mlx_lm"):
        from mlx_lm.models.cache import KVCache
    else:
        from mlx_vlm.models.cache import KVCache
    return KVCache
