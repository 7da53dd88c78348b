"""Where the libraries want special care: each with its cause, so that it can go when the cause does."""

from __future__ import annotations

from typing import Any

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


def takes_chunks(model: Any, options: dict[str, Any]) -> bool:
    """Whether a prompt with these inputs may be prefilled in several parts: some families look at all of it at once."""
    # Private, pinned: see tests/test_contracts.py.
    from mlx_vlm.generate.common import _chunked_prefill_enabled

    return all(_chunked_prefill_enabled(part, prefill_kwargs=options) for part in (model, model.language_model))


def rope_delta_of(model: Any, *, images: bool) -> Any:
    """(1, 1), of a family that keeps to itself how far the positions are ahead; None: it has none. To be read after the prefill.

    A row without images may leave there what the row before it did.
    """
    import mlx.core as mx

    if not hasattr(model, "_rope_deltas"):
        return None
    delta = model._rope_deltas if images else None  # noqa: SLF001
    return mx.zeros((1, 1), mx.int32) if delta is None else mx.array(delta).reshape(-1, 1)[:1]


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
