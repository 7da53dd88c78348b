"""The keys and values of several sequences, in a cache object for each layer: made, padded, joined, filtered.

mlx-vlm and mlx-lm have the same classes under the same names; contract tests hold the parts of them that are used here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

#: A cache for each layer.
Caches = list[Any]
#: The cache classes that several left-padded sequences can fill at once. Padding would change the state of the others.
_PADDABLE = ("KVCache", "RotatingKVCache")


def make(model: Any) -> Caches:
    """Make empty caches for one sequence."""
    if hasattr(model, "make_cache"):
        caches: Caches = model.make_cache()
        return caches
    kind = _kv_cache(model)
    return [kind() for _ in model.layers]


def make_padded(model: Any, padding: Sequence[int]) -> Caches:
    """Make empty caches for several sequences, each of which begins with its `padding`: columns that attention ignores."""
    merged = []
    for cache in make(model):
        batched = type(cache).merge([cache] * len(padding))
        batched.prepare(left_padding=list(padding))
        merged.append(batched)
    return merged


def can_pad(model: Any) -> bool:
    """Whether `make_padded` works for the model."""
    return all(type(cache).__name__ in _PADDABLE and not getattr(cache, "keep", 0) for cache in make(model))


def can_share_prefix(model: Any) -> bool:
    """Whether one sequence can start from the first tokens of another: not if the cache discards old tokens."""
    return all(type(cache).__name__ == "KVCache" for cache in make(model))


def can_join(model: Any) -> bool:
    """Whether the caches of two sequences can be joined."""
    return all(_is_batch(cache) or _can_merge(cache) for cache in make(model))


def batched(caches: Caches) -> Caches:
    """Turn the caches of one sequence into those of a batch of one, for a model that `can_join`."""
    return [cache if _is_batch(cache) else type(cache).merge([cache]) for cache in caches]


def extend(caches: Caches, others: Caches) -> Caches:
    """Append the sequences of `others` to the batch of `caches`, in place."""
    for cache, other in zip(caches, others, strict=True):
        cache.extend(other)
    return caches


def keep(caches: Caches, sequences: Sequence[int]) -> None:
    """Keep only these sequences, by index, in this order."""
    index = mx.array(list(sequences), mx.int32)
    for cache in caches:
        cache.filter(index)


def arrays(caches: Caches) -> list[Any]:
    """Return all arrays of the caches, to be evaluated."""
    return [cache.state for cache in caches]


def size(caches: Caches) -> int:
    """Return the bytes of the caches."""
    return sum(array.nbytes for _, array in tree_flatten([arrays(caches)]) if isinstance(array, mx.array))


def preload(caches: Caches, prefix: Sequence[tuple[Any, Any]], columns: int, padding: Sequence[int]) -> None:
    """Fill the first `columns` columns of empty padded caches with the keys and values (1, heads, tokens, width) of a prefix.

    A sequence with padding p gets the first `columns` − p tokens of the prefix.
    """
    for cache, (keys, values) in zip(caches, prefix, strict=True):
        cache.keys = mx.concatenate([_shifted(keys, columns, pad) for pad in padding])
        cache.values = mx.concatenate([_shifted(values, columns, pad) for pad in padding])
        cache.offset = cache.offset + columns
        cache._idx = columns  # noqa: SLF001


def preload_row(caches: Caches, prefix: Sequence[tuple[Any, Any]], columns: int) -> None:
    """Fill the empty caches of one sequence with the first `columns` tokens of a prefix; see `preload`."""
    for cache, (keys, values) in zip(caches, prefix, strict=True):
        cache.update_and_fetch(keys[:, :, :columns], values[:, :, :columns])


def prefix_of(caches: Caches, sequence: int, start: int, tokens: int) -> list[tuple[Any, Any]]:
    """Copy the keys and values (1, heads, tokens, width) of a sequence's columns from `start` on."""
    part = (slice(sequence, sequence + 1), slice(None), slice(start, start + tokens))
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
    """Whether the cache's own class has a `merge`. An inherited one would make a plain cache without the class's purpose."""
    return "merge" in vars(type(cache)) and all(_can_merge(child) for child in getattr(cache, "caches", ()))


def _kv_cache(model: Any) -> Any:
    if type(model).__module__.startswith("mlx_lm"):
        from mlx_lm.models.cache import KVCache
    else:
        from mlx_vlm.models.cache import KVCache
    return KVCache
