"""Google's families."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import SIGLIP, TEXT, Family, Files, extend, token_id
from tools.families.templates import GEMMA, parts_template

_TOKENS = {"boi_token": "<start_of_image>", "image_token": "<image_soft_token>", "eoi_token": "<end_of_image>"}
#: Of Gemma 3n and 4, which hear as well.
_MORE_TOKENS = {"audio_token": "<audio_soft_token>", "boa_token": "<start_of_audio>", "eoa_token": "<end_of_audio>"}


def _gemma3(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, [*_TOKENS.values(), "<bos>"], GEMMA, bos="<bos>")
    # A window shorter than the prompts: the rotating caches are to rotate.
    text = {**TEXT, "model_type": "gemma3_text", "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 24}
    text |= {"sliding_window_pattern": 2, "mm_tokens_per_image": 16}
    config = {
        "model_type": "gemma3",
        "text_config": text,
        "vision_config": SIGLIP,
        "image_token_index": token_id(tokenizer, "<image_soft_token>"),
        "hidden_size": 64,
    }
    pixels = {"image_processor_type": "Gemma3ImageProcessor", "size": {"height": 64, "width": 64}}
    return Files(config, pixels, {"processor_class": "Gemma3Processor", "image_seq_length": 16}, _TOKENS)


_TEXT4: dict[str, Any] = {
    **TEXT,
    "num_hidden_layers": 4,
    "head_dim": 16,
    "global_head_dim": 16,
    "hidden_size_per_layer_input": 8,
    "num_kv_shared_layers": 0,
    "sliding_window": 24,
    "sliding_window_pattern": 2,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "final_logit_softcapping": 30.0,
    "use_double_wide_mlp": False,
}
_PIXELS4 = {"patch_size": 8, "max_soft_tokens": 16, "pooling_kernel_size": 2}


def _gemma4_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    extend(tokenizer, [*_TOKENS.values(), *_MORE_TOKENS.values(), "<bos>"], None, bos="<bos>")
    tokenizer.chat_template = parts_template("<image_soft_token>", bos=True)
    names = {"image_token": "image_token_id", "audio_token": "audio_token_id", "boi_token": "boi_token_id"}
    names |= {"eoi_token": "eoi_token_id", "boa_token": "boa_token_id", "eoa_token": "eoa_token_id"}
    tokens = _TOKENS | _MORE_TOKENS
    return {id_name: token_id(tokenizer, tokens[name]) for name, id_name in names.items()}


def _gemma4(tokenizer: PreTrainedTokenizerBase, **text: Any) -> Files:
    ids = _gemma4_tokens(tokenizer)
    vision = {
        "model_type": "gemma4_vision",
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 12,
        "global_head_dim": 12,
        "default_output_length": 16,
        "patch_size": 8,
        "position_embedding_size": 64,
        "pooling_kernel_size": 2,
    }
    vocabulary = {"vocab_size_per_layer_input": len(tokenizer)}
    config = {
        "model_type": "gemma4",
        **ids,
        "text_config": {**_TEXT4, "model_type": "gemma4_text", **vocabulary, **text},
        "vision_config": vision,
        "audio_config": None,
        "hidden_size": 64,
        "vision_soft_tokens_per_image": 16,
    }
    return Files(config, {}, {"image_processor": _PIXELS4}, _TOKENS | _MORE_TOKENS)


def _gemma4_bidirectional(tokenizer: PreTrainedTokenizerBase) -> Files:
    return _gemma4(tokenizer, use_bidirectional_attention="vision", hidden_size_per_layer_input=0)


def _gemma4_unified(tokenizer: PreTrainedTokenizerBase) -> Files:
    ids = _gemma4_tokens(tokenizer)
    text = {**_TEXT4, "model_type": "gemma4_unified_text", "hidden_size_per_layer_input": 0}
    vision = {
        "patch_size": 16,
        "pooling_kernel_size": 3,
        "model_patch_size": 48,
        "mm_embed_dim": 64,
        "mm_posemb_size": 64,
        "output_proj_dims": 64,
    }
    config = {
        "model_type": "gemma4_unified",
        **ids,
        "text_config": {**text, "attention_k_eq_v": False, "num_global_key_value_heads": 2},
        "vision_config": vision,
        "audio_config": None,
        "hidden_size": 64,
    }
    # mlx-vlm takes the defaults of its image processor, and ignores the files.
    return Files(config, {}, {}, _TOKENS | _MORE_TOKENS)


def _paligemma(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, ["<image>", "<bos>"], None, bos="<bos>")
    text = {**TEXT, "model_type": "gemma2", "head_dim": 16, "query_pre_attn_scalar": 16}
    config = {
        "model_type": "paligemma",
        "text_config": text,
        "vision_config": {**SIGLIP, "projection_dim": 64},
        "image_token_index": token_id(tokenizer, "<image>"),
        "hidden_size": 64,
    }
    pixels: dict[str, Any] = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 64, "width": 64}}
    pixels |= {"image_seq_length": 64}
    return Files(config, pixels, {"processor_class": "PaliGemmaProcessor"}, {"image_token": "<image>"})


FAMILIES = {
    "gemma3": Family("Gemma 3, MedGemma", _gemma3),
    "gemma4": Family("Gemma 4 (small)", _gemma4),
    "gemma4-bidirectional": Family("Gemma 4 (large)", _gemma4_bidirectional),
    "gemma4_unified": Family("Gemma 4 unified", _gemma4_unified),
    "paligemma": Family("PaliGemma 2", _paligemma, pictures=1),
}
