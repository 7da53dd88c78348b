"""Llama 3.2 Vision (`mllama`), whose cross-attention layers need the features of the image again at every step.

mlx-vlm's own loop hands them on from step to step, and leaves the caches of these layers empty. Here each sequence's caches
keep them, so that a decode step needs nothing but its tokens and caches. Several sequences cannot be joined: the features
have no masks for those that see nothing.
"""

from __future__ import annotations

from typing import Any

FAMILY = "mllama"


def keep_image_features(language_model: Any) -> None:
    """Let the caches of a language model of this family hold the image features of their sequence."""
    from mlx_vlm.models.cache import KVCache

    class ImageCache(KVCache):  # type: ignore[misc]
        """Cache of a cross-attention layer. No class of its own in the libraries: nothing joins, pads or cuts it."""

        features: Any = None

    layers = frozenset(language_model.config.cross_attention_layers)
    usual: Any = type(language_model)

    class KeepsImageFeatures(usual):  # type: ignore[misc]
        """Language model that takes the features from the caches if the call brings none."""

        def make_cache(self) -> list[Any]:
            return [ImageCache() if layer in layers else KVCache() for layer in range(len(self.model.layers))]

        def __call__(self, *args: Any, cache: Any = None, cross_attention_states: Any = None, **options: Any) -> Any:
            holders = [one for one in cache or () if isinstance(one, ImageCache)]
            if cross_attention_states is None and holders:
                cross_attention_states = holders[0].features
            for holder in holders:
                holder.features = cross_attention_states
            return super().__call__(*args, cache=cache, cross_attention_states=cross_attention_states, **options)

    language_model.__class__ = KeepsImageFeatures
