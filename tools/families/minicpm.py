"""OpenBMB's families."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import SIGLIP, TEXT, Family, Files, extend, token_id
from tools.families.templates import parts_template

_TOKENS = ["<image>", "</image>", "<slice>", "</slice>", "<image_id>", "</image_id>"]
_PIXELS: dict[str, Any] = {
    "image_processor_type": "MiniCPMVImageProcessor",
    "scale_resolution": 64,
    "patch_size": 8,
    "image_feature_size": 4,
    "max_slice_nums": 2,
}


def _minicpmo(tokenizer: PreTrainedTokenizerBase) -> Files:
    tokens = ["<image>", "</image>", "<slice>", "</slice>", "<|audio_start|>", "<|audio_end|>", "<|listen|>"]
    tokens += ["<|spk_bos|>", "<|spk_eos|>", "<|tts_bos|>", "<|tts_eos|>", "<unk>"]
    extend(tokenizer, tokens, parts_template("<image>./</image>"))
    tokenizer.add_special_tokens({"unk_token": "<unk>"})
    rope = {"type": "default", "mrope_section": [4, 2, 2]}
    config = {
        "model_type": "minicpmo",
        **TEXT,
        "head_dim": 16,
        "rope_theta": 10000.0,
        "rope_scaling": rope,
        "vision_config": {**SIGLIP, "image_size": 64},
        "query_num": 8,
        "image_size": 64,
        "patch_size": 8,
        "init_audio": False,
        "init_tts": False,
    }
    pixels = {
        "scale_resolution": 64,
        "patch_size": 8,
        "image_feature_size": 8,
        "feature_extractor_type": "WhisperFeatureExtractor",
    }
    return Files(config, pixels)


def _minicpmv4_6(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, [*_TOKENS, "<|listen|>"], parts_template("<image>./</image>"))
    return Files(_config(tokenizer, "minicpmv4_6"), _PIXELS)


def _minicpmv4_7(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, [*_TOKENS, "<|listen|>"], parts_template("<|image_pad|>"))
    ids = {
        "image_token_id": token_id(tokenizer, "<|image_pad|>"),
        "video_token_id": token_id(tokenizer, "<|video_pad|>"),
        "image_start_id": token_id(tokenizer, "<image>"),
        "image_end_id": token_id(tokenizer, "</image>"),
        "slice_start_id": token_id(tokenizer, "<slice>"),
        "slice_end_id": token_id(tokenizer, "</slice>"),
        "newline_id": tokenizer.encode("\n", add_special_tokens=False)[0],
    }
    return Files({**_config(tokenizer, "minicpmv4_7"), **ids}, _PIXELS)


def _config(tokenizer: PreTrainedTokenizerBase, model_type: str) -> dict[str, Any]:
    text: dict[str, Any] = {
        **TEXT,
        "model_type": "qwen3_5_text",
        "num_hidden_layers": 4,
        "head_dim": 16,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "full_attention_interval": 2,
        "rope_parameters": {
            "type": "default",
            "mrope_section": [1, 1, 0],
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.25,
        },
    }
    return {
        "model_type": model_type,
        "text_config": text,
        "vision_config": {**SIGLIP, "model_type": "siglip", "num_hidden_layers": 3},
        "insert_layer_id": 1,
        "image_size": 64,
        "patch_size": 8,
        "query_num": 4,
    }


FAMILIES = {
    "minicpmo": Family("MiniCPM-o, MiniCPM-V", _minicpmo),
    "minicpmv4_6": Family("MiniCPM-V 4.6", _minicpmv4_6),
    "minicpmv4_7": Family("MiniCPM-V 4.7", _minicpmv4_7),
}
