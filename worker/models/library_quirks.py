"""Quirks of the libraries that captionq works around, each with its cause, so that the code can go when the cause does."""

from __future__ import annotations

from typing import Any

from worker.models import mllama

#: Inputs of a language model that have an entry for each token. mlx-vlm keeps the same list under a private name, and cuts only
#: the inputs in that list into chunks (`_SEQUENCE_ALIGNED_PROMPT_KWARGS` in generate/ar.py; a contract test compares them).
PER_TOKEN = frozenset(
    {
        "attention_mask",
        "decoder_inputs_embeds",
        "visual_pos_masks",
        "per_layer_inputs",
        "full_text_row_masked_out_mask",
        "position_ids",
        "pos_hw",
        "mm_token_type_ids",
        "token_type_ids",
    }
)
#: Inputs of that list that have their tokens on another axis, and that the family cuts by itself (Mllama's mask of the text).
CUT_BY_FAMILY = frozenset({"full_text_row_masked_out_mask"})
#: Inputs about the images, which the vision tower needs. mlx-vlm hands them on to the language model also, and a few families use
#: them there. In a prefill group they would be cut wrongly: `image_grid_thw` by the number of sequences, though each image has an
#: entry. So a group goes without them, and the batching check finds the families that need them.
ABOUT_IMAGES = frozenset(
    {
        "image_grid_thw",
        "video_grid_thw",
        "image_sizes",
        "image_sizes_videos",
        "spatial_shapes",
        "pixel_attention_mask",
        "num_crops",
        "num_patches",
        "num_tiles",
        "rows",
        "cols",
    }
)
#: Families whose tower takes the patches of several images end to end, with a grid for each, and gives their merged features
#: in the same order. Other families with grids merge elsewhere, or name their layers differently.
GRID_TOWERS = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"})
#: Pixels that each side of an image must have, by family. Kimi-VL's processor cuts off what is left of a side after pairs of
#: patches, which is all of a side shorter than that; nanoLLaVA's takes a single pixel for a grey image.
LEAST_SIDES = {"kimi_vl": 28, "llava-qwen2": 2}
#: The attributes under which models hold their vision tower.
_TOWERS = ("vision_tower", "vision_model")
#: Families that keep the positions of a prompt on the language model until the next prompt replaces them, and take positions as
#: inputs as Qwen's do. mlx-vlm derives the positions of later chunks, and of all sequences but one, from the kept ones.
KEEPS_POSITIONS = frozenset({"glm4v", "glm4v_moe", "glm_ocr", "paddleocr_vl"})
#: The attributes that keep positions. Private, pinned: see tests/worker/test_contracts.py.
_KEPT = ("_position_ids", "_rope_deltas")


def tower_name(model: Any) -> str | None:
    """Return the attribute that holds a model's vision tower; None: it has none, or under another name."""
    return next((name for name in _TOWERS if getattr(model, name, None) is not None), None)


def takes_chunks(model: Any, options: dict[str, Any]) -> bool:
    """Whether a prompt with these inputs may be prefilled in several parts: some families look at all of it at once."""
    # Private, pinned: see tests/worker/test_contracts.py.
    from mlx_vlm.generate.common import _chunked_prefill_enabled

    return all(_chunked_prefill_enabled(part, prefill_kwargs=options) for part in (model, model.language_model))


def kept_positions(model: Any) -> dict[str, Any]:
    """Return the positions that a language model keeps of the last prompt that it embedded or prefilled; empty: it keeps none."""
    return {name: getattr(model, name) for name in _KEPT if hasattr(model, name)}


def put_back(model: Any, kept: dict[str, Any]) -> None:
    """Put kept positions back on the model, as another sequence may have been embedded meanwhile."""
    for name, value in kept.items():
        setattr(model, name, value)


def count_from(model: Any, rope_deltas: Any) -> None:
    """Let a language model count the positions of a decode step from these deltas (sequences, 1).

    It may still keep the positions of the prompt that was embedded last: GLM-OCR takes them for the next tokens of any sequence
    that decodes by itself and is shorter, and other families do if they keep no deltas.
    """
    mine = {"_position_ids": None, "_rope_deltas": rope_deltas}
    put_back(model, {name: mine[name] for name in kept_positions(model)})


def told_positions(family: str | None, kept: dict[str, Any], length: int, *, images: bool) -> dict[str, Any]:
    """Return `position_ids` (3, 1, L) and `rope_deltas` (1, 1) for a family of `KEEPS_POSITIONS`; nothing for others.

    With these its prompts may be prefilled in parts and in groups. The positions of a prompt without images are counted here,
    because the model may still keep those of the prompt before.
    """
    import mlx.core as mx

    if family not in KEEPS_POSITIONS:
        return {}
    if not images:
        counted = mx.broadcast_to(mx.arange(length, dtype=mx.int32), (3, 1, length))
        return {"position_ids": counted, "rope_deltas": mx.zeros((1, 1), mx.int32)}
    return {"position_ids": kept["_position_ids"], "rope_deltas": kept["_rope_deltas"]}


class _WithoutPadding:
    """An image processor that takes no option of the tokenizer's."""

    def __init__(self, image_processor: Any) -> None:
        self._image_processor = image_processor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._image_processor, name)

    def __call__(self, images: Any, **options: Any) -> Any:
        known = {name: value for name, value in options.items() if name not in ("padding", "padding_side")}
        return self._image_processor(images, **known)


def mend_processor(processor: Any) -> None:
    """Keep the `padding` of mlx-vlm's LLaVA processor from transformers' image processor, which refuses it with every image."""
    if type(processor).__name__ == "LlavaProcessor" and type(processor).__module__.startswith("mlx_vlm."):
        processor.image_processor = _WithoutPadding(processor.image_processor)


def mend_model(model: Any) -> None:
    """Let sequences of `mllama` keep their image's features: its decode steps would go on without the image."""
    if getattr(model.config, "model_type", None) == mllama.FAMILY:
        mllama.keep_image_features(model.language_model)
