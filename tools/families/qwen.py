"""Qwen's families."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import IMAGE, TEXT, VIDEO, VISION_START, Family, Files

_PIXELS = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "min_pixels": 1024, "max_pixels": 4096}
_IDS = {"image_token_id": IMAGE, "video_token_id": VIDEO, "vision_start_token_id": VISION_START}
_VISION3: dict[str, Any] = {
    "depth": 3,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_heads": 4,
    "out_hidden_size": 64,
    "patch_size": 8,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0, 1],
}
_MROPE = {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [4, 2, 2]}
_EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}


def _qwen2(model_type: str, vision: dict[str, Any]) -> Files:
    rope = {"type": "mrope", "mrope_section": [2, 3, 3]}
    shape = {**TEXT, **_IDS, "rope_scaling": rope, "tie_word_embeddings": True}
    return Files({"model_type": model_type, **shape, "vision_config": vision}, _PIXELS)


def _qwen2_vl(_: PreTrainedTokenizerBase) -> Files:
    vision = {"depth": 2, "embed_dim": 48, "hidden_size": 64, "num_heads": 4, "mlp_ratio": 2, "patch_size": 8}
    return _qwen2("qwen2_vl", {**vision, "spatial_patch_size": 8})


def _qwen2_5_vl(_: PreTrainedTokenizerBase) -> Files:
    vision = {"depth": 2, "hidden_size": 48, "intermediate_size": 64, "out_hidden_size": 64, "num_heads": 4}
    patches = {"patch_size": 8, "spatial_patch_size": 8, "window_size": 32, "fullatt_block_indexes": [1]}
    return _qwen2("qwen2_5_vl", {**vision, **patches})


def _qwen3(model_type: str, text: dict[str, Any], vision: dict[str, Any]) -> Files:
    text = {**TEXT, "model_type": f"{model_type}_text", "head_dim": 16, "rope_theta": 10000.0, **text}
    vision = {**_VISION3, "model_type": model_type, **vision}
    return Files({"model_type": model_type, **_IDS, "text_config": text, "vision_config": vision}, _PIXELS)


def _qwen3_vl(_: PreTrainedTokenizerBase) -> Files:
    text = {"rope_scaling": _MROPE, "tie_word_embeddings": True, "num_hidden_layers": 3}
    return _qwen3("qwen3_vl", text, {})


def _qwen3_vl_moe(_: PreTrainedTokenizerBase) -> Files:
    text = {"rope_scaling": _MROPE, "tie_word_embeddings": True, "num_hidden_layers": 3}
    return _qwen3("qwen3_vl_moe", text | _EXPERTS, {})


#: Of Qwen3.5's layers one in a few attends to everything; the others keep a state.
_LINEAR = {
    "num_hidden_layers": 4,
    "full_attention_interval": 2,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
    "tie_word_embeddings": True,
    "rope_parameters": {
        "type": "default",
        "mrope_section": [2, 1, 1],
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
    },
}


def _qwen3_5(_: PreTrainedTokenizerBase) -> Files:
    return _qwen3("qwen3_5", _LINEAR, {"deepstack_visual_indexes": []})


def _qwen3_5_moe(_: PreTrainedTokenizerBase) -> Files:
    experts = {**_EXPERTS, "shared_expert_intermediate_size": 32}
    return _qwen3("qwen3_5_moe", _LINEAR | experts, {"deepstack_visual_indexes": []})


FAMILIES = {
    "qwen2_vl": Family("Qwen2-VL, olmOCR", _qwen2_vl),
    "qwen2_5_vl": Family("Qwen2.5-VL, olmOCR 2", _qwen2_5_vl),
    "qwen3_vl": Family("Qwen3-VL", _qwen3_vl),
    "qwen3_vl_moe": Family("Qwen3-VL 30B-A3B", _qwen3_vl_moe),
    "qwen3_5": Family("Qwen3.5", _qwen3_5),
    "qwen3_5_moe": Family("Qwen3.5 35B-A3B", _qwen3_5_moe),
}
