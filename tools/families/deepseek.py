"""DeepSeek's families."""

from __future__ import annotations

from functools import partial
from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import TEXT, Family, Files, extend, token_id

_EXPERTS = {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_TEXT: dict[str, Any] = {
    **TEXT,
    "model_type": "deepseek_v2",
    "num_key_value_heads": 4,
    "first_k_dense_replace": 1,
    **_EXPERTS,
}
#: Plain attention instead of the latent one.
_NO_RANKS: dict[str, Any] = {"kv_lora_rank": None, "q_lora_rank": None}
_NO_RANKS |= {"qk_rope_head_dim": 0, "v_head_dim": 0, "qk_nope_head_dim": 0}


def _tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    extend(tokenizer, ["<image>", "<|pad|>"], None)
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})


def _deepseekocr(tokenizer: PreTrainedTokenizerBase) -> Files:
    from mlx_vlm.models.deepseekocr import deepseekocr

    # The sizes of the first tower are the library's, and no part of a config; the second takes its 1,024 channels.
    deepseekocr.SAMViTConfig = partial(deepseekocr.SAMViTConfig, width=16, layers=1, heads=2, global_attn_indexes=())
    _tokens(tokenizer)
    vision = {"model_type": "vision", "layers": 1, "width": 1024, "hidden_size": 1024, "intermediate_size": 64}
    config = {
        "model_type": "deepseekocr",
        "language_config": {**_TEXT, **_NO_RANKS},
        "vision_config": {**vision, "num_attention_heads": 16},
        "projector_config": {"projector_type": "linear", "input_dim": 2048, "n_embed": 64},
        "image_token_index": token_id(tokenizer, "<image>"),
    }
    processor = {"processor_class": "DeepseekOCRProcessor", "candidate_resolutions": [[1024, 1024]]}
    return Files(config, {}, {**processor, "patch_size": 16, "downsample_ratio": 4, "image_token": "<image>"})


FAMILIES = {
    "deepseekocr": Family("DeepSeek-OCR", _deepseekocr, pictures=1),
}
