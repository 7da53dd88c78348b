"""Families that read documents: PaddleOCR-VL, dots.ocr, DeepSeek-OCR."""

from __future__ import annotations

from functools import partial
from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import TEXT, Family, Files, extend, fill_up, token_id
from tools.families.templates import parts_template


def _paddleocr_vl(tokenizer: PreTrainedTokenizerBase) -> Files:
    tokens = {"image_token": "<|IMAGE_PLACEHOLDER|>"}
    around = ["<|IMAGE_START|>", "<|IMAGE_END|>", "<|video|>"]
    extend(tokenizer, [*tokens.values(), *around], parts_template("<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>"))
    vision = {
        "model_type": "paddleocr_vl",
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 64,
        "patch_size": 8,
    }
    config = {
        "model_type": "paddleocr_vl",
        **TEXT,
        # The projector's width is the library's, and no part of a config.
        "hidden_size": 1024,
        "head_dim": 16,
        "use_bias": False,
        "pad_token_id": 0,
        "rope_scaling": {"rope_type": "default", "type": "default", "mrope_section": [2, 3, 3]},
        "image_token_id": token_id(tokenizer, "<|IMAGE_PLACEHOLDER|>"),
        "video_token_id": token_id(tokenizer, "<|video|>"),
        "vision_start_token_id": token_id(tokenizer, "<|IMAGE_START|>"),
        "vision_end_token_id": token_id(tokenizer, "<|IMAGE_END|>"),
        "vision_config": vision,
    }
    pixels = {"min_pixels": 1024, "max_pixels": 4096, "patch_size": 8, "merge_size": 2, "temporal_patch_size": 1}
    return Files(config, pixels, {}, tokens)


def _dots_ocr(tokenizer: PreTrainedTokenizerBase) -> Files:
    tokens = {"image_token": "<|imgpad|>", "video_token": "<|video_pad|>"}
    fill_up(tokenizer, 151665)
    extend(tokenizer, [*tokens.values(), "<|img|>", "<|endofimg|>"], parts_template("<|img|><|imgpad|><|endofimg|>"))
    vision = {
        "model_type": "dots_vit",
        "embed_dim": 64,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "patch_size": 8,
    }
    config = {
        "model_type": "dots_ocr",
        **TEXT,
        "image_token_id": token_id(tokenizer, "<|imgpad|>"),
        "video_token_id": token_id(tokenizer, "<|video_pad|>"),
        "vision_config": vision,
    }
    pixels: dict[str, Any] = {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 8, "merge_size": 2}
    pixels |= {"temporal_patch_size": 1, "size": {"shortest_edge": 1024, "longest_edge": 4096}}
    return Files(config, pixels, {}, tokens)


def _deepseekocr(tokenizer: PreTrainedTokenizerBase) -> Files:
    from mlx_vlm.models.deepseekocr import deepseekocr

    # The sizes of the first tower are the library's, and no part of a config; the second takes its 1,024 channels.
    deepseekocr.SAMViTConfig = partial(deepseekocr.SAMViTConfig, width=16, layers=1, heads=2, global_attn_indexes=())
    extend(tokenizer, ["<image>", "<|pad|>"], None)
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    experts = {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    text = {**TEXT, "model_type": "deepseek_v2", "num_key_value_heads": 4, "first_k_dense_replace": 1, **experts}
    text |= {"kv_lora_rank": None, "q_lora_rank": None, "qk_rope_head_dim": 0, "v_head_dim": 0, "qk_nope_head_dim": 0}
    vision = {"model_type": "vision", "layers": 1, "width": 1024, "hidden_size": 1024, "intermediate_size": 64}
    config = {
        "model_type": "deepseekocr",
        "language_config": text,
        "vision_config": {**vision, "num_attention_heads": 16},
        "projector_config": {"projector_type": "linear", "input_dim": 2048, "n_embed": 64},
        "image_token_index": token_id(tokenizer, "<image>"),
    }
    processor = {"processor_class": "DeepseekOCRProcessor", "candidate_resolutions": [[1024, 1024]]}
    return Files(config, {}, {**processor, "patch_size": 16, "downsample_ratio": 4, "image_token": "<image>"})


FAMILIES = {
    "paddleocr_vl": Family("PaddleOCR-VL", _paddleocr_vl, pictures=1),
    "dots_ocr": Family("dots.ocr", _dots_ocr),
    "deepseekocr": Family("DeepSeek-OCR", _deepseekocr, pictures=1),
}
