"""Image features that are remembered: in memory, and on the disk if there is a feature cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

from worker.features.feature_cache import FeatureCache

#: Bytes of image features that are remembered. With a thousand tokens an image, a model of width 2,560 has about 5 MB of
#: features, and as much again for each deepstack layer.
REMEMBERED_BYTES = 256_000_000
#: The largest share of these bytes that the features of one image may take. Larger ones would displace all others.
LARGEST_SHARE = 0.25

#: The features of some images: arrays, nested in tuples and lists in the way of the family.
Features = Any
#: The features of images by image key.
ImageFeatures = dict[bytes, Features]


class FeatureMemory:
    """Features by image key, of which the least recently used are forgotten first."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes in memory."""
        self._limit = limit
        self._held = 0
        self._features: OrderedDict[bytes, Features] = OrderedDict()
        #: Where features stay beyond the life of this process; None: nowhere.
        self.disk: FeatureCache | None = None

    @property
    def disk_counts(self) -> Mapping[str, int]:
        """See `FeatureCache.counts`; empty: there is no feature cache."""
        return {} if self.disk is None else self.disk.counts

    def __contains__(self, key: bytes) -> bool:
        return key in self._features or (self.disk is not None and key in self.disk)

    def get(self, key: bytes) -> Features | None:
        """Return the features of an image; None: they are not remembered."""
        if key in self._features:
            self._features.move_to_end(key)
        elif self.disk is not None and (found := self.disk.get(key)) is not None:
            self._keep(key, found, _bytes(found))
            return found
        return self._features.get(key)

    def add(self, key: bytes, features: Features) -> None:
        """Remember evaluated features."""
        size = _bytes(features)
        # Some towers (Gemma 3's) return the output of each layer: a quarter of a gigabyte for an image.
        if key in self._features or size > self._limit * LARGEST_SHARE:
            return
        self._keep(key, features, size)
        if self.disk is not None:
            self.disk.put(key, features)

    def forget(self) -> None:
        """Forget what is in memory."""
        self._features.clear()
        self._held = 0

    def _keep(self, key: bytes, features: Features, size: int) -> None:
        self._features[key] = features
        self._held += size
        while self._held > self._limit:
            _, forgotten = self._features.popitem(last=False)
            self._held -= _bytes(forgotten)


def _bytes(features: Features) -> int:
    # Some towers return None beside their features.
    return sum(array.nbytes for _, array in tree_flatten([features]) if isinstance(array, mx.array))
