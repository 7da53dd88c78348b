"""Token embeddings of prepared prompts, with the image features in their places, as the language model takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx
import numpy as np

from jobs.errors import EngineError, ModelError
from worker.models.inputs import Embedded, Prepared
from worker.models.library_quirks import (
    ABOUT_IMAGES,
    CUT_BY_FAMILY,
    PER_TOKEN,
    kept_positions,
    takes_chunks,
    told_positions,
)
from worker.models.vision.feature_memory import ImageFeatures
from worker.models.vision.image_columns import columns_of, fill
from worker.models.vision.vision_tower import VisionTower


class Embedding:
    """The part of a vision model before its language model: vision tower and token embeddings."""

    def __init__(self, model: Any, image_token: int | None) -> None:
        self._model = model
        self._image_token = image_token
        self._family = getattr(model.config, "model_type", None)
        self.vision = VisionTower(model)

    def embed(self, prepared: Prepared, generated: Sequence[int] = (), seen: ImageFeatures | None = None) -> Embedded:
        """Embed one sequence, its prompt and then the ids `generated` so far. The result is evaluated, so that errors come here.

        Raises:
            EngineError: `generated` holds an image marker, which would be taken for an image.
            ModelError: The places of the image features are not known.
        """
        if self._image_token in generated:
            raise EngineError("The answer contains an image marker, so it cannot be continued.")
        prompt = len(prepared.source_ids)
        ids = [*prepared.source_ids, *generated]
        inputs = {name: as_mlx(value, prompt, len(ids)) for name, value in prepared.inputs.items()}
        data = {name: value for name, value in inputs.items() if name != "pixel_values"}
        given = self.vision.embed(mx.array([ids]), prepared, inputs, seen or {}).to_dict()
        options = {**data, **{name: value for name, value in given.items() if value is not None}}
        kept = kept_positions(self._model.language_model)
        has_pixels = prepared.inputs.get("pixel_values") is not None
        if positions := told_positions(self._family, kept, len(ids), images=has_pixels):
            options |= positions
            # A decode step of these families counts positions from zero if the model keeps none.
            kept["_rope_deltas"] = positions["rope_deltas"]
        filled = None
        if options["inputs_embeds"].shape[1] != len(ids):
            ids, options = self._filled(ids, options)
            filled = ids[: len(ids) - len(generated)]
        embedded = replace(
            _sorted(ids, dict(options)),
            has_images=prepared.image_tokens > 0,
            text_prefix=self._text_prefix(ids, prepared),
            whole=not takes_chunks(self._model, options),
            filled=filled,
            kept=kept,
        )
        computed = (embedded.embeds, embedded.per_token, embedded.rope_delta, embedded.deepstack, embedded.rest)
        mx.eval(*computed, list(kept.values()))
        return embedded

    def _filled(self, ids: list[int], options: dict[str, Any]) -> tuple[list[int], dict[str, Any]]:
        """Return the ids and inputs by the computed columns. Raises ModelError if a column's id is not known."""
        family = str(self._family)
        if "rope_deltas" in options:
            raise ModelError(
                f"Models of the family '{family}' count positions by this prompt's {len(ids)} tokens, but compute "
                f"{options['inputs_embeds'].shape[1]}. Use another model."
            )
        columns = columns_of(ids, options["inputs_embeds"], self._image_token, self._embed_text, family)
        return [ids[at] for at in columns], fill(options, columns, len(ids))

    def _embed_text(self, tokens: Any) -> Any:
        return self._model.get_input_embeddings(tokens, None, mask=mx.ones_like(tokens)).inputs_embeds

    def _text_prefix(self, ids: list[int], prepared: Prepared) -> int:
        if not prepared.inputs:
            return len(ids) - 1
        return ids.index(self._image_token) if self._image_token in ids else 0


def _sorted(ids: list[int], given: dict[str, Any]) -> Embedded:
    """Sort the language model's inputs by how they are batched."""
    embeds = given.pop("inputs_embeds")
    rope_delta = given.pop("rope_deltas", None)
    deepstack, visible = given.pop("deepstack_visual_embeds", None), given.pop("visual_pos_masks", None)
    per_token, rest, about_images = {}, {}, {}
    for name, value in given.items():
        if name in PER_TOKEN - CUT_BY_FAMILY and isinstance(value, mx.array) and len(ids) in value.shape[1:]:
            per_token[name] = value
        elif name in ABOUT_IMAGES:
            about_images[name] = value
        elif value is not None:
            rest[name] = value
    if rope_delta is not None and "position_ids" in per_token:
        per_token["position_ids"] = _three_axes(per_token["position_ids"])
    return Embedded(
        ids=ids,
        embeds=embeds,
        per_token=per_token,
        rope_delta=None if rope_delta is None else mx.array(rope_delta).reshape(1, 1).astype(mx.int32),
        deepstack=None if deepstack is None else list(deepstack),
        image_mask=None if visible is None or deepstack is None else np.array(visible).reshape(-1),
        rest=rest,
        about_images=about_images,
    )


def _three_axes(positions: Any) -> Any:
    """Broadcast positions (1, L) to the (3, 1, L) of sequences with images, so that both go into one forward pass."""
    positions = mx.broadcast_to(positions[None], (3, *positions.shape)) if positions.ndim == 2 else positions
    return positions.astype(mx.int32)


def as_mlx(value: Any, prompt: int, length: int) -> Any:
    """Turn the processor's numpy arrays into mlx arrays, also in dicts, lists and tuples.

    An array with an entry for each of `prompt` tokens gets zeros, which mean text, up to `length`.
    """
    if isinstance(value, dict):
        return {name: as_mlx(part, prompt, length) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_mlx(part, prompt, length) for part in value)
    if not isinstance(value, np.ndarray):
        return value
    if length > prompt and value.shape == (1, prompt):
        value = np.pad(value, [(0, 0), (0, length - prompt)])
    return mx.array(value)
