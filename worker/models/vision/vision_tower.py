"""The vision tower, for several sequences at once. Features are remembered: many questions about one image encode it once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from worker.models.inputs import Prepared
from worker.models.library_quirks import GRID_TOWERS, tower_name
from worker.models.vision.feature_memory import REMEMBERED_BYTES, FeatureMemory, Features, ImageFeatures


class VisionTower:
    """The vision tower of one model, with the features that it remembers."""

    def __init__(self, model: Any) -> None:
        name = tower_name(model)
        tower = None if name is None else getattr(model, name)
        self._tower = tower if tower is None or isinstance(tower, _Tower) else _Tower(tower)
        if name is not None:
            setattr(model, name, self._tower)
        self._model = model
        #: Patches a side that become one token, in the families with a grid of patches for each image; None: another family.
        self._merge = None
        if getattr(model.config, "model_type", None) in GRID_TOWERS:
            self._merge = getattr(getattr(model.config, "vision_config", None), "spatial_merge_size", None)
        self.memory = FeatureMemory(REMEMBERED_BYTES)
        #: Images that the tower has encoded since the model was loaded.
        self.encoded = 0

    def groups(self, prepared: Prepared) -> bool:
        """Whether the images of this sequence can be encoded together with those of other sequences."""
        grids = prepared.inputs.get("image_grid_thw")
        return (
            self._tower is not None
            and self._merge is not None
            and grids is not None
            and prepared.inputs.get("pixel_values") is not None
            and len(prepared.image_keys) == len(grids)
        )

    def missing_patches(self, prepared: Prepared) -> int:
        """Count the patches of the sequence's images that are not remembered."""
        return sum(len(patches) for key, (patches, _) in _images(prepared) if key not in self.memory)

    def encode(self, sequences: Iterable[Prepared], /) -> ImageFeatures:
        """Run the tower once over all images of these sequences that are not remembered. Each sequence must pass `groups`.

        In the families with grids an image attends only to itself. The features are not evaluated yet.
        """
        new: dict[bytes, tuple[Any, Any]] = {}
        for prepared in sequences:
            new.update((key, part) for key, part in _images(prepared) if key not in self.memory)
        if not new:
            return {}
        assert self._tower is not None
        assert self._merge is not None
        self.encoded += len(new)
        grids = np.stack([grid for _, grid in new.values()])
        tokens = [int(grid.prod()) // self._merge**2 for grid in grids]
        patches = mx.array(np.concatenate([part for part, _ in new.values()]))
        features = self._tower.tower(patches.astype(self._tower.patch_embed.proj.weight.dtype), mx.array(grids))
        ends = np.cumsum(tokens).tolist()
        parts = [_part(features, slice(end - count, end)) for end, count in zip(ends, tokens, strict=True)]
        return dict(zip(new, parts, strict=True))

    def remember(self, seen: ImageFeatures) -> None:
        """Keep evaluated features."""
        for key, features in seen.items():
            self.memory.add(key, features)

    def forget(self) -> None:
        """Forget all images; what is on the disk stays there."""
        self.memory.forget()

    def embed(self, tokens: Any, prepared: Prepared, inputs: dict[str, Any], seen: ImageFeatures) -> Any:
        """Call the model's `get_input_embeddings` for ids (1, L), with features that are `seen` or remembered."""
        mask = mx.ones_like(tokens)
        if self._tower is None or not prepared.image_keys:
            return self._model.get_input_embeddings(tokens, inputs.pop("pixel_values", None), mask=mask, **inputs)
        if self.groups(prepared):
            known = [_joined(self._features(prepared, seen))]
        else:
            # The other families call their tower in their own ways, but the same pixels give the same features.
            known = list(self.memory.get(b"".join(prepared.image_keys)) or [])
        with self._tower.serving(known) as fresh:
            embedded = self._model.get_input_embeddings(tokens, inputs.pop("pixel_values"), mask=mask, **inputs)
        self.encoded += 0 if known else len(prepared.image_keys)
        if fresh and not known:
            mx.eval(fresh)
            self.memory.add(b"".join(prepared.image_keys), fresh)
        return embedded

    def _features(self, prepared: Prepared, seen: ImageFeatures) -> list[Features]:
        """Return the features of each image of the sequence. All are held here, as the memory may have no room for all."""
        found = {key: seen[key] if key in seen else self.memory.get(key) for key in prepared.image_keys}
        if any(features is None for features in found.values()):
            fresh = self.encode([prepared])
            mx.eval(fresh)
            self.remember(fresh)
            found = {key: fresh.get(key, features) for key, features in found.items()}
        return [found[key] for key in prepared.image_keys]


class _Tower(nn.Module):
    """A replacement for the tower inside the model, which returns known features without a computation."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower
        self._serving: _Serving | None = None

    def __getattr__(self, name: str) -> Any:
        # Models read attributes of the tower, such as the type of its weights.
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("tower"), name)

    @contextmanager
    def serving(self, known: list[Features]) -> Iterator[list[Features]]:
        """Return the known features from the next calls; yields the list of features that further calls compute."""
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
    """Known and fresh features of one call. A class, because a module takes a plain list for its layers."""

    def __init__(self, known: deque[Features]) -> None:
        self.known = known
        self.fresh: list[Features] = []


def _images(prepared: Prepared) -> Iterator[tuple[bytes, tuple[Any, Any]]]:
    """Yield each image's key, patches and grid."""
    start = 0
    for key, grid in zip(prepared.image_keys, prepared.inputs["image_grid_thw"], strict=True):
        patches = int(grid.prod())
        yield key, (prepared.inputs["pixel_values"][start : start + patches], grid)
        start += patches


def _part(features: Features, part: slice) -> Features:
    """Copy a slice of the first axis of every array."""
    if isinstance(features, (list, tuple)):
        return type(features)(_part(nested, part) for nested in features)
    if features is None:
        return None
    return mx.contiguous(features[part])


def _joined(features: Sequence[Features]) -> Features:
    """Join the features of several images end to end, as the tower returns them for all images together."""
    first = features[0]
    if isinstance(first, (list, tuple)):
        return type(first)(_joined(parts) for parts in zip(*features, strict=True))
    if first is None:
        return None
    return mx.concatenate(list(features)) if len(features) > 1 else first
