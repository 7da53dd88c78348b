"""Where the libraries want special care: each with its cause, so that it can go when the cause does."""

from __future__ import annotations

from typing import Any

from worker.models import mllama

#: Inputs of a language model that have an entry for each token. mlx-vlm keeps the same list under a private name, and leaves out
#: of its chunks what is not in it (`_SEQUENCE_ALIGNED_PROMPT_KWARGS` in generate/ar.py; a contract test compares them).
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
#: What a processor says of the images, which the vision tower has used up. mlx-vlm hands it on to the language model, where a few
#: families look at it again. With several rows it would be cut wrongly: `image_grid_thw` by the number of rows, where it has an
#: entry an image; so those rows go without, and the canary finds the families that cannot.
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
#: in the same order. Others with grids merge elsewhere, or name their layers otherwise.
GRID_TOWERS = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"})
#: Families that keep their prompts' positions on the language model, where the next prompt's replace them, and take them as
#: inputs as well as Qwen's do. mlx-vlm counts the positions of later chunks, and of all rows but one, from what is kept.
KEEPS_POSITIONS = frozenset({"glm4v", "glm4v_moe", "glm_ocr", "paddleocr_vl"})
#: The attributes in which they are kept. Private, pinned: see tests/worker/test_contracts.py.
_KEPT = ("_position_ids", "_rope_deltas")


def takes_chunks(model: Any, options: dict[str, Any]) -> bool:
    """Whether a prompt with these inputs may be prefilled in several parts: some families look at all of it at once."""
    # Private, pinned: see tests/worker/test_contracts.py.
    from mlx_vlm.generate.common import _chunked_prefill_enabled

    return all(_chunked_prefill_enabled(part, prefill_kwargs=options) for part in (model, model.language_model))


def kept_positions(model: Any) -> dict[str, Any]:
    """The positions that a language model keeps of the prompt that it embedded, or prefilled, last; empty: it keeps none."""
    return {name: getattr(model, name) for name in _KEPT if hasattr(model, name)}


def put_back(model: Any, kept: dict[str, Any]) -> None:
    """Make these the model's positions again: another row may have been embedded meanwhile."""
    for name, value in kept.items():
        setattr(model, name, value)


def told_positions(family: str | None, kept: dict[str, Any], length: int, *, images: bool) -> dict[str, Any]:
    """`position_ids` (3, 1, L) and `rope_deltas` (1, 1) of a family of `KEEPS_POSITIONS`; of others nothing.

    So its prompts may be prefilled in parts and in groups. A prompt without images is just counted: the model may still keep
    the positions of the prompt before it.
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
