"""LLaVA and its descendants."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import SIGLIP, TEXT, Family, Files, extend, token_id
from tools.families.templates import STRINGS, marks_itself, parts_template

_CLIP: dict[str, Any] = {**SIGLIP, "model_type": "clip_vision_model"}
_SIZE = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
_TOKENS = {"image_token": "<image>"}


def _llava(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, ["<image>"], STRINGS)
    config = {
        "model_type": "llava",
        "text_config": {**TEXT, "model_type": "llama"},
        "vision_config": _CLIP,
        "image_token_index": token_id(tokenizer, "<image>"),
    }
    pixels = {"image_processor_type": "CLIPImageProcessor", **_SIZE}
    names = {"processor_class": "LlavaProcessor", "patch_size": 8, "num_additional_image_tokens": 1}
    return Files(config, pixels, {**names, "vision_feature_select_strategy": "default"}, _TOKENS)


#: JoyCaption's template stands between reserved tokens of Llama 3.
_JOY_IMAGE = "<|reserved_special_token_69|>"
_JOY_AROUND = ("<|reserved_special_token_70|>", "<|reserved_special_token_71|>")


def _joycaption(tokenizer: PreTrainedTokenizerBase) -> Files:
    before, after = _JOY_AROUND
    extend(tokenizer, [_JOY_IMAGE, *_JOY_AROUND], marks_itself(f"{before}{_JOY_IMAGE}{after}"))
    config = {
        "model_type": "llava",
        "text_config": {**TEXT, "model_type": "llama"},
        "vision_config": SIGLIP,
        "image_token_index": token_id(tokenizer, _JOY_IMAGE),
        "vision_feature_select_strategy": "full",
        "vision_feature_layer": -2,
    }
    pixels = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 64, "width": 64}}
    names = {"processor_class": "LlavaProcessor", "patch_size": 8, "image_token": _JOY_IMAGE}
    strategy = {"vision_feature_select_strategy": "full", "num_additional_image_tokens": 0}
    return Files(config, pixels, {**names, **strategy}, {"image_token": _JOY_IMAGE})


def _llava_next(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, ["<image>"], parts_template("<image>"))
    config = {
        "model_type": "llava_next",
        "text_config": {**TEXT, "model_type": "mistral"},
        "vision_config": _CLIP,
        "image_token_index": token_id(tokenizer, "<image>"),
    }
    pins = {"image_grid_pinpoints": [[64, 128], [128, 64], [128, 128]]}
    pixels = {"image_processor_type": "LlavaNextImageProcessor", **_SIZE, **pins}
    names = {"processor_class": "LlavaNextProcessor", "patch_size": 8, "num_additional_image_tokens": 1}
    return Files(config, pixels, {**names, "vision_feature_select_strategy": "default"}, _TOKENS)


def _llava_onevision(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, ["<image>", "<video>"], parts_template("<image>"))
    pins = {"image_grid_pinpoints": [[64, 64], [64, 128], [128, 64], [128, 128]]}
    config = {
        "model_type": "llava_onevision",
        "text_config": {**TEXT, "model_type": "qwen2"},
        "vision_config": SIGLIP,
        "image_token_index": token_id(tokenizer, "<image>"),
        "video_token_index": token_id(tokenizer, "<video>"),
        **pins,
    }
    pixels = {"image_processor_type": "LlavaOnevisionImageProcessor", "size": {"height": 64, "width": 64}, **pins}
    names = {"processor_class": "LlavaOnevisionProcessor", "num_image_tokens": 64}
    return Files(config, pixels, {**names, "vision_feature_select_strategy": "full"}, _TOKENS)


def _fastvlm(tokenizer: PreTrainedTokenizerBase) -> Files:
    from mlx_vlm.models.fastvlm.config import VisionConfig

    # The sizes of Apple's tower are constants of its class, and no part of a config.
    VisionConfig.layers = [1, 1, 1, 1, 1]
    VisionConfig.embed_dims = [16, 16, 32, 32, 32]
    extend(tokenizer, ["<image>"], parts_template("<image>"))
    config = {
        "model_type": "llava_qwen2",
        **TEXT,
        "tie_word_embeddings": True,
        "vision_config": {"image_size": 256, "projection_dim": 64},
        "mm_hidden_size": 64,
        "image_token_index": -200,
    }
    pixels = {"size": {"shortest_edge": 256}, "crop_size": {"height": 256, "width": 256}}
    return Files(config, pixels)


def _nanollava(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, ["<image>"], parts_template("<image>"))
    config = {
        "model_type": "llava-qwen2",
        **TEXT,
        "auto_map": {},
        # The tower of every nanoLLaVA gives 27 x 27 features.
        "vision_config": {**SIGLIP, "patch_size": 14, "image_size": 378},
        "mm_hidden_size": 48,
        "image_token_index": -200,
    }
    return Files(config)


FAMILIES = {
    "llava": Family("LLaVA 1.5, BakLLaVA", _llava),
    "llava-joycaption": Family("JoyCaption", _joycaption, pictures=1),
    "llava_next": Family("LLaVA 1.6", _llava_next, pictures=1),
    "llava_onevision": Family("LLaVA-OneVision", _llava_onevision),
    # mlx-vlm puts the second of two pictures in the wrong place.
    "fastvlm": Family("FastVLM", _fastvlm, pictures=1),
    "llava-qwen2": Family("nanoLLaVA", _nanollava, pictures=1),
}
