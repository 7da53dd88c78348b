"""Hugging Face's and Liquid's families: Idefics, SmolVLM, LFM2-VL."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import SIGLIP, TEXT, Family, Files, extend, token_id
from tools.families.templates import SMOLVLM, parts_template

_TOKENS = {"image_token": "<image>", "fake_image_token": "<fake_token_around_image>"}
_TOKENS |= {"global_image_token": "<global-img>", "end_of_utterance_token": "<end_of_utterance>"}


def _idefics3_like(tokenizer: PreTrainedTokenizerBase, model_type: str, name: str) -> Files:
    extend(tokenizer, list(_TOKENS.values()), SMOLVLM)
    config = {
        "model_type": model_type,
        "text_config": {**TEXT, "model_type": "llama"},
        "vision_config": SIGLIP,
        "image_token_id": token_id(tokenizer, "<image>"),
        "scale_factor": 2,
    }
    pixels: dict[str, Any] = {"image_processor_type": f"{name}ImageProcessor", "size": {"longest_edge": 128}}
    pixels |= {"max_image_size": {"longest_edge": 64}, "do_image_splitting": True}
    return Files(config, pixels, {"processor_class": f"{name}Processor", "image_seq_len": 16}, _TOKENS)


def _smolvlm(tokenizer: PreTrainedTokenizerBase) -> Files:
    return _idefics3_like(tokenizer, "smolvlm", "SmolVLM")


def _idefics3(tokenizer: PreTrainedTokenizerBase) -> Files:
    return _idefics3_like(tokenizer, "idefics3", "Idefics3")


def _idefics2(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, list(_TOKENS.values()), SMOLVLM)
    perceiver = {"model_type": "idefics2", "num_key_value_heads": 2, "resampler_depth": 1, "resampler_head_dim": 16}
    config = {
        "model_type": "idefics2",
        "text_config": {**TEXT, "model_type": "mistral"},
        "vision_config": {**SIGLIP, "model_type": "idefics2"},
        "perceiver_config": {**perceiver, "resampler_n_heads": 4, "resampler_n_latents": 8},
        "image_token_id": token_id(tokenizer, "<image>"),
    }
    pixels: dict[str, Any] = {"image_processor_type": "Idefics2ImageProcessor", "do_image_splitting": False}
    pixels |= {"size": {"longest_edge": 64, "shortest_edge": 32}}
    tokens = {**_TOKENS, "image_boundary_token": "<fake_token_around_image>"}
    return Files(config, pixels, {"processor_class": "Idefics2Processor", "image_seq_len": 8}, tokens)


_LFM2_TOKENS = {"image_token": "<image>", "image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>"}
_LFM2_TOKENS |= {"image_thumbnail": "<|img_thumbnail|>"}


def _lfm2_vl(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(
        tokenizer, [*_LFM2_TOKENS.values(), "<|startoftext|>"], parts_template("<image>", bos=True), "<|startoftext|>"
    )
    text = {**TEXT, "model_type": "lfm2", "block_dim": 64, "block_ff_dim": 96, "conv_dim": 64, "conv_dim_out": 64}
    text |= {
        "num_heads": 4,
        "layer_types": ["full_attention", "conv", "full_attention"],
        "num_hidden_layers": 3,
        "block_auto_adjust_ff_dim": False,
    }
    config = {
        "model_type": "lfm2_vl",
        "text_config": text,
        "vision_config": {**SIGLIP, "model_type": "lfm2_vl", "num_patches": 64},
        "image_token_id": token_id(tokenizer, "<image>"),
        "encoder_patch_size": 8,
        "projector_hidden_size": 64,
    }
    pixels = {"encoder_patch_size": 8, "min_image_tokens": 4, "max_image_tokens": 16, "tile_size": 64}
    return Files(config, pixels, {"processor_class": "Lfm2VlProcessor"}, _LFM2_TOKENS)


FAMILIES = {
    "smolvlm": Family("SmolVLM, SmolVLM2", _smolvlm),
    "idefics3": Family("Idefics 3", _idefics3),
    "idefics2": Family("Idefics 2", _idefics2),
    "lfm2_vl": Family("LFM2-VL", _lfm2_vl),
}
