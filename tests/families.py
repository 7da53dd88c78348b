"""Tiny models of other families with random weights, whole as on disk: config, weights, tokenizer, processor, chat template.

Random weights know nothing, but they are without mercy: where a trained model would say the right word anyway, one wrong position
or one swapped picture changes their every next token.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from jobs.models import built_in_models

#: Ids of the built-in tokenizer, with which the Qwen families make do.
_VISION_START, _IMAGE, _VIDEO, _EOS = 3, 6, 7, 2
#: By how much random weights are multiplied.
_GROWTH = 4.0
_TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 2048,
}
_SIGLIP: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "patch_size": 8,
    "image_size": 64,
}

_SMOLVLM_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
_GEMMA_TEMPLATE = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- if messages[0]['content'] is string -%}"
    "{%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}{%- else -%}"
    "{%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}{%- endif -%}"
    "{%- set loop_messages = messages[1:] -%}{%- else -%}{%- set first_user_prefix = '' -%}"
    "{%- set loop_messages = messages -%}{%- endif -%}{%- for message in loop_messages -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif -%}"
    "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}"
    "{{ '<|im_start|>' + role + '\n' + (first_user_prefix if loop.first else '') }}"
    "{%- if message['content'] is string -%}{{ message['content'] | trim }}{%- else -%}"
    "{%- for item in message['content'] -%}{%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}"
    "{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{{ '<|im_end|>\n' }}{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>model\n' }}{%- endif -%}"
)
_LFM2_TEMPLATE = (
    "{{- bos_token -}}{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}{%- else -%}"
    "{%- for item in message['content'] -%}{%- if item['type'] == 'image' -%}{{- '<image>' -}}"
    "{%- elif item['type'] == 'text' -%}{{- item['text'] -}}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\n' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
#: Takes strings alone, as the templates of older families do.
_STRINGS_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def save_model(family: str, folder: Path, seed: int = 0, *, says_vocabulary: bool = True) -> Path:
    """Write a model of the family into the folder. `says_vocabulary`: its config does, else it is the library's default."""
    tokenizer = AutoTokenizer.from_pretrained(built_in_models()["demo"])
    config, preprocessor, processor, tokens = _FAMILIES[family](tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    _name_tokens(folder / "tokenizer_config.json", tokens)
    config = {"model_type": family, "eos_token_id": [_EOS], "bos_token_id": 0, **config}
    if says_vocabulary:
        config["vocab_size"] = config.get("text_config", config)["vocab_size"] = len(tokenizer)
    for name, content in (("config", config), ("preprocessor_config", preprocessor), ("processor_config", processor)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    _save_weights(family, config, folder, seed)
    return folder


def _save_weights(family: str, config: dict[str, Any], folder: Path, seed: int) -> None:
    arch = importlib.import_module(f"mlx_vlm.models.{family}")
    parsed = arch.ModelConfig.from_dict(json.loads(json.dumps(config)))
    for part, kind in (("text_config", arch.TextConfig), ("vision_config", arch.VisionConfig)):
        if isinstance(value := getattr(parsed, part), dict):
            setattr(parsed, part, kind.from_dict(value))
    mx.random.seed(seed)
    weights = tree_flatten(arch.Model(parsed).parameters())
    # Larger than a fresh layer's: the logits are to lie far apart, and to hang on the picture and every word. The embeddings
    # are not, or each token would follow from the last one alone.
    # Gemma 4's layers are normed when they are done: there the norms say how loud a layer is.
    norms = "post_" if family == "gemma4" else None
    grown = {name: array * _GROWTH if _grows(name, array, norms) else array for name, array in weights}
    mx.save_safetensors(str(folder / "model.safetensors"), grown, {"format": "mlx"})


def _grows(name: str, array: Any, norms: str | None) -> bool:
    return (norms is not None and norms in name) or (array.ndim >= 2 and "embed_tokens" not in name)


def _name_tokens(path: Path, tokens: dict[str, str]) -> None:
    """Give the tokenizer attributes by which its processor finds the family's own tokens."""
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra_special_tokens": tokens}))


#: config.json, preprocessor_config.json, processor_config.json, and the tokens that have names.
_Files = tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, str]]


def _qwen(vision: dict[str, Any]) -> _Files:
    rope = {"type": "mrope", "mrope_section": [2, 3, 3]}
    ids = {"image_token_id": _IMAGE, "video_token_id": _VIDEO, "vision_start_token_id": _VISION_START}
    config = {**_TEXT, **ids, "rope_scaling": rope, "tie_word_embeddings": True, "vision_config": vision}
    pixels = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "min_pixels": 1024, "max_pixels": 4096}
    return config, pixels, {}, {}


def _qwen2_vl(_: PreTrainedTokenizerBase) -> _Files:
    vision = {"depth": 2, "embed_dim": 48, "hidden_size": 64, "num_heads": 4, "mlp_ratio": 2, "patch_size": 8}
    return _qwen({**vision, "spatial_patch_size": 8})


def _qwen2_5_vl(_: PreTrainedTokenizerBase) -> _Files:
    vision = {"depth": 2, "hidden_size": 48, "intermediate_size": 64, "out_hidden_size": 64, "num_heads": 4}
    patches = {"patch_size": 8, "spatial_patch_size": 8, "window_size": 32, "fullatt_block_indexes": [1]}
    return _qwen({**vision, **patches})


def _qwen3_vl(_: PreTrainedTokenizerBase) -> _Files:
    config, pixels, processor, tokens = _qwen({})
    rope = {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [4, 2, 2]}
    vision = {"model_type": "qwen3_vl", "depth": 3, "hidden_size": 48, "intermediate_size": 64, "num_heads": 4}
    vision |= {
        "out_hidden_size": 64,
        "patch_size": 8,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    }
    text = {**_TEXT, "model_type": "qwen3_vl_text", "head_dim": 16, "rope_theta": 10000.0, "rope_scaling": rope}
    text |= {"tie_word_embeddings": True, "num_hidden_layers": 3}
    ids = {key: value for key, value in config.items() if key.endswith("_id")}
    return {**ids, "text_config": text, "vision_config": vision}, pixels, processor, tokens


def _gemma3(tokenizer: PreTrainedTokenizerBase) -> _Files:
    tokens = {"boi_token": "<start_of_image>", "image_token": "<image_soft_token>", "eoi_token": "<end_of_image>"}
    _extend(tokenizer, [*tokens.values(), "<bos>"], _GEMMA_TEMPLATE, bos="<bos>")
    # A window shorter than the prompts: the rotating caches are to rotate.
    text = {**_TEXT, "model_type": "gemma3_text", "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 24}
    text |= {"sliding_window_pattern": 2, "mm_tokens_per_image": 16}
    config = {
        "text_config": text,
        "vision_config": _SIGLIP,
        "image_token_index": tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        "hidden_size": 64,
    }
    pixels = {"image_processor_type": "Gemma3ImageProcessor", "size": {"height": 64, "width": 64}}
    return config, pixels, {"processor_class": "Gemma3Processor", "image_seq_length": 16}, tokens


def _smolvlm(tokenizer: PreTrainedTokenizerBase) -> _Files:
    tokens = {"image_token": "<image>", "fake_image_token": "<fake_token_around_image>"}
    tokens |= {"global_image_token": "<global-img>", "end_of_utterance_token": "<end_of_utterance>"}
    _extend(tokenizer, list(tokens.values()), _SMOLVLM_TEMPLATE)
    config = {
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": _SIGLIP,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "scale_factor": 2,
    }
    pixels: dict[str, Any] = {"image_processor_type": "SmolVLMImageProcessor", "size": {"longest_edge": 128}}
    pixels |= {"max_image_size": {"longest_edge": 64}, "do_image_splitting": True}
    return config, pixels, {"processor_class": "SmolVLMProcessor", "image_seq_len": 16}, tokens


def _lfm2_vl(tokenizer: PreTrainedTokenizerBase) -> _Files:
    tokens = {"image_token": "<image>", "image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>"}
    tokens |= {"image_thumbnail": "<|img_thumbnail|>"}
    _extend(tokenizer, [*tokens.values(), "<|startoftext|>"], _LFM2_TEMPLATE, bos="<|startoftext|>")
    text = {**_TEXT, "model_type": "lfm2", "block_dim": 64, "block_ff_dim": 96, "conv_dim": 64, "conv_dim_out": 64}
    text |= {
        "num_heads": 4,
        "layer_types": ["full_attention", "conv", "full_attention"],
        "num_hidden_layers": 3,
        "block_auto_adjust_ff_dim": False,
    }
    config = {
        "text_config": text,
        "vision_config": {**_SIGLIP, "model_type": "lfm2_vl", "num_patches": 64},
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "encoder_patch_size": 8,
        "projector_hidden_size": 64,
    }
    pixels = {"encoder_patch_size": 8, "min_image_tokens": 4, "max_image_tokens": 16, "tile_size": 64}
    return config, pixels, {"processor_class": "Lfm2VlProcessor"}, tokens


def _llava(tokenizer: PreTrainedTokenizerBase) -> _Files:
    _extend(tokenizer, ["<image>"], _STRINGS_TEMPLATE)
    config = {
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_SIGLIP, "model_type": "clip_vision_model"},
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
    }
    size = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
    pixels = {"image_processor_type": "CLIPImageProcessor", **size}
    names = {"processor_class": "LlavaProcessor", "patch_size": 8, "num_additional_image_tokens": 1}
    return config, pixels, {**names, "vision_feature_select_strategy": "default"}, {"image_token": "<image>"}


def _llava_next(tokenizer: PreTrainedTokenizerBase) -> _Files:
    """Of which each image takes more columns than its processor gives it ids."""
    _extend(tokenizer, ["<image>"], _LFM2_TEMPLATE, bos="<|im_start|>")
    config = {
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": {**_SIGLIP, "model_type": "clip_vision_model", "image_size": 32},
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
    }
    pixels: dict[str, Any] = {"image_processor_type": "LlavaNextImageProcessor", "size": {"shortest_edge": 32}}
    pixels |= {"crop_size": {"height": 32, "width": 32}, "image_grid_pinpoints": [[32, 64], [64, 32], [64, 64]]}
    names = {"processor_class": "LlavaNextProcessor", "patch_size": 8, "vision_feature_select_strategy": "default"}
    return config, pixels, {**names, "num_additional_image_tokens": 1}, {"image_token": "<image>"}


def _fastvlm(tokenizer: PreTrainedTokenizerBase) -> _Files:
    """Of which each image has one id that is none, and all its columns come with the features."""
    from mlx_vlm.models.fastvlm.config import VisionConfig

    # Its tower is no matter of its config.json, and has 125 million weights.
    VisionConfig.layers, VisionConfig.embed_dims = [1] * 5, [8, 8, 16, 32, 32]
    _extend(tokenizer, [], _LFM2_TEMPLATE, bos="<|im_start|>")
    config = {"text_config": {**_TEXT, "model_type": "qwen2", "tie_word_embeddings": True}, "mm_hidden_size": 64}
    config |= {"vision_config": {"model_type": "llava_qwen2"}, "image_token_index": -200}
    pixels = {"size": {"shortest_edge": 256}, "crop_size": {"height": 256, "width": 256}}
    return config, pixels, {}, {}


def _glm4v(_: PreTrainedTokenizerBase) -> _Files:
    """Which keeps the positions of its last prompt on the language model."""
    rope = {"rope_type": "default", "mrope_section": [4, 2, 2]}
    text = {
        **_TEXT,
        "model_type": "glm4v_text",
        "rope_scaling": rope,
        "partial_rotary_factor": 1.0,
        "rope_theta": 10000,
    }
    vision = {"model_type": "glm4v", "depth": 2, "hidden_size": 48, "intermediate_size": 64, "num_heads": 4}
    vision |= {"out_hidden_size": 64, "patch_size": 8, "image_size": 64}
    ids = {"image_token_id": _IMAGE, "image_token_index": _IMAGE, "video_token_id": _VIDEO, "video_token_index": _VIDEO}
    config = {"text_config": text, "vision_config": vision, "vision_start_token_id": _VISION_START, **ids}
    pixels: dict[str, Any] = {"image_processor_type": "Glm4vImageProcessor", "patch_size": 8, "merge_size": 2}
    pixels |= {"size": {"shortest_edge": 1024, "longest_edge": 8192}, "temporal_patch_size": 2}
    return config, pixels, {}, {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}


def _gemma4(tokenizer: PreTrainedTokenizerBase) -> _Files:
    """Whose pictures have inputs for each token that its texts have not."""
    tokens = {"image_token": "<image>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    _extend(tokenizer, list(tokens.values()), _LFM2_TEMPLATE, bos="<|im_start|>")
    text = {**_TEXT, "model_type": "gemma4_text", "head_dim": 16, "global_head_dim": 16, "sliding_window": 24}
    text |= {"layer_types": ["sliding_attention", "full_attention"], "num_kv_shared_layers": 0}
    text |= {"hidden_size_per_layer_input": 16}
    vision = {"hidden_size": 48, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 4}
    vision |= {"num_key_value_heads": 4, "head_dim": 12, "patch_size": 8, "pooling_kernel_size": 2}
    config = {
        "text_config": {**text, "vocab_size_per_layer_input": len(tokenizer)},
        "vision_config": {**vision, "position_embedding_size": 64, "default_output_length": 70},
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "hidden_size": 64,
    }
    pixels = {"patch_size": 8, "max_soft_tokens": 70, "pooling_kernel_size": 2}
    return config, {}, {"processor_class": "Gemma4Processor", "image_processor": pixels}, tokens


def _extend(tokenizer: PreTrainedTokenizerBase, tokens: list[str], template: str, bos: str | None = None) -> None:
    tokenizer.add_tokens(tokens, special_tokens=True)
    tokenizer.chat_template = template
    if bos is not None:
        tokenizer.bos_token = bos


_FAMILIES = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "gemma3": _gemma3,
    "smolvlm": _smolvlm,
    "lfm2_vl": _lfm2_vl,
    "llava": _llava,
    "llava_next": _llava_next,
    "fastvlm": _fastvlm,
    "glm4v": _glm4v,
    "gemma4": _gemma4,
}
FAMILIES = tuple(_FAMILIES)
