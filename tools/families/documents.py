"""Families that read documents: PaddleOCR-VL, dots.ocr."""

from __future__ import annotations

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


FAMILIES = {
    "paddleocr_vl": Family("PaddleOCR-VL", _paddleocr_vl, pictures=1),
    "dots_ocr": Family("dots.ocr", _dots_ocr),
}
