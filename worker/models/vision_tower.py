"""The vision tower, for several rows at once, and remembered: many questions about one image encode it once."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from worker.models.inputs import Prepared
from worker.models.library_quirks import GRID_TOWERS

#: Bytes of image features that are remembered. At a thousand tokens an image a model of width 2,560 has about 5 MB of them, and
#: as much again for each deepstack layer.
REMEMBERED_BYTES = 256_000_000
#: One image's that take more of it are not: others would be forgotten for them.
LARGEST_SHARE = 0.25

#: What a tower gives for some images: arrays, in whatever nest of tuples and lists the family uses.
Features = Any
#: The features of images by their keys.
Seen = dict[bytes, Features]


class VisionTower:
    """Encodes the images of prepared rows."""

    def __init__(self, model: Any) -> None:
        tower = getattr(model, "vision_tower", None)
        self._tower = tower if tower is None or isinstance(tower, _Tower) else _Tower(tower)
        if self._tower is not None:
            model.vision_tower = self._tower
        self._model = model
        #: How many patches (a side) become one token, in the families that say for each image how many patches it has.
        self._merge = None
        if getattr(model.config, "model_type", None) in GRID_TOWERS:
            self._merge = getattr(getattr(model.config, "vision_config", None), "spatial_merge_size", None)
        self._memory = _Memory(REMEMBERED_BYTES)

    def groups(self, prepared: Prepared) -> bool:
        """Whether the images of this row can be encoded together with other rows'."""
        grids = prepared.inputs.get("image_grid_thw")
        return (
            self._tower is not None
            and self._merge is not None
            and grids is not None
            and prepared.inputs.get("pixel_values") is not None
            and len(prepared.image_keys) == len(grids)
        )

    def missing_patches(self, prepared: Prepared) -> int:
        """How many patches of the row belong to images that are still to be encoded."""
        return sum(len(patches) for key, (patches, _) in _images(prepared) if key not in self._memory)

    def encode(self, rows: Iterable[Prepared]) -> Seen:
        """Run the tower once over all images of these rows that are not remembered. Only for rows that `groups` takes.

        The families with grids keep the attention of each image to itself. The features are still to be evaluated.
        """
        new: dict[bytes, tuple[Any, Any]] = {}
        for row in rows:
            new.update((key, part) for key, part in _images(row) if key not in self._memory)
        if not new:
            return {}
        assert self._tower is not None
        assert self._merge is not None
        grids = np.stack([grid for _, grid in new.values()])
        tokens = [int(grid.prod()) // self._merge**2 for grid in grids]
        patches = mx.array(np.concatenate([part for part, _ in new.values()]))
        features = self._tower.tower(patches.astype(self._tower.patch_embed.proj.weight.dtype), mx.array(grids))
        ends = np.cumsum(tokens).tolist()
        parts = [_part(features, slice(end - count, end)) for end, count in zip(ends, tokens, strict=True)]
        return dict(zip(new, parts, strict=True))

    def remember(self, seen: Seen) -> None:
        """Keep features that are evaluated."""
        for key, features in seen.items():
            self._memory.add(key, features)

    def forget(self) -> None:
        """Forget all images."""
        self._memory = _Memory(REMEMBERED_BYTES)

    def embed(self, tokens: Any, prepared: Prepared, inputs: dict[str, Any], seen: Seen) -> Any:
        """The model's `get_input_embeddings` of the ids (1, L), with features that are `seen` or remembered."""
        mask = mx.ones_like(tokens)
        if self._tower is None or not prepared.image_keys:
            return self._model.get_input_embeddings(tokens, inputs.pop("pixel_values", None), mask=mask, **inputs)
        if self.groups(prepared):
            known = [_joined(self._features(prepared, seen))]
        else:
            # The other families call their tower in ways of their own; with the same pixels it gives the same features.
            known = list(self._memory.get(b"".join(prepared.image_keys)) or [])
        with self._tower.serving(known) as fresh:
            embedded = self._model.get_input_embeddings(tokens, inputs.pop("pixel_values"), mask=mask, **inputs)
        if fresh and not known:
            mx.eval(fresh)
            self._memory.add(b"".join(prepared.image_keys), fresh)
        return embedded

    def _features(self, prepared: Prepared, seen: Seen) -> list[Features]:
        """Of each image of the row. Held while they are used: the memory may not hold all of them at once."""
        found = {key: seen.get(key, self._memory.get(key)) for key in prepared.image_keys}
        if any(features is None for features in found.values()):
            fresh = self.encode([prepared])
            mx.eval(fresh)
            self.remember(fresh)
            found = {key: fresh.get(key, features) for key, features in found.items()}
        return [found[key] for key in prepared.image_keys]


class _Tower(nn.Module):
    """Stands in for the tower inside the model, and hands out what is known already."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower
        self._serving: _Serving | None = None

    def __getattr__(self, name: str) -> Any:
        # Models look at the tower's own attributes, such as the type of its weights.
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("tower"), name)

    @contextmanager
    def serving(self, known: list[Features]) -> Iterator[list[Features]]:
        """Answer the next calls with what is known; yields what the tower had to work out after that."""
        self._serving = _Serving(deque(known))
        try:
            yield self._serving.fresh
        finally:
            self._serving = None

    def __call__(self, *args: Any, **options: Any) -> Features:
        if self._serving is not None and self._serving.known:
            return self._serving.known.popleft()
        features = self.tower(*args, **options)
        if self._serving is not None:
            self._serving.fresh.append(features)
        return features


class _Serving:
    """Not a plain list: a module takes those for its layers."""

    def __init__(self, known: deque[Features]) -> None:
        self.known = known
        self.fresh: list[Features] = []


class _Memory:
    """Features by image, the least recently used ones forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._features: OrderedDict[bytes, Features] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        return key in self._features

    def get(self, key: bytes) -> Features | None:
        if key in self._features:
            self._features.move_to_end(key)
        return self._features.get(key)

    def add(self, key: bytes, features: Features) -> None:
        size = _bytes(features)
        # Some towers (Gemma 3's) give what each of their layers made: a quarter of a gigabyte an image.
        if key in self._features or size > self._limit * LARGEST_SHARE:
            return
        self._features[key] = features
        self._held += size
        while self._held > self._limit:
            _, forgotten = self._features.popitem(last=False)
            self._held -= _bytes(forgotten)


def _images(prepared: Prepared) -> Iterator[tuple[bytes, tuple[Any, Any]]]:
    """Each image's key, patches and grid."""
    start = 0
    for key, grid in zip(prepared.image_keys, prepared.inputs["image_grid_thw"], strict=True):
        patches = int(grid.prod())
        yield key, (prepared.inputs["pixel_values"][start : start + patches], grid)
        start += patches


def _part(features: Features, part: slice) -> Features:
    """A copy of some of the rows of every array."""
    if isinstance(features, (list, tuple)):
        return type(features)(_part(one, part) for one in features)
    if features is None:
        return None
    return mx.contiguous(features[part])


def _joined(features: Sequence[Features]) -> Features:
    """The features of several images as the tower gives those of all of them: end to end."""
    first = features[0]
    if isinstance(first, (list, tuple)):
        return type(first)(_joined(parts) for parts in zip(*features, strict=True))
    if first is None:
        return None
    return mx.concatenate(list(features)) if len(features) > 1 else first


def _bytes(features: Features) -> int:
    # Some towers give None beside their features.
    return sum(array.nbytes for _, array in tree_flatten([features]) if isinstance(array, mx.array))
