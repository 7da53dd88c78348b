"""Families of the Allen Institute."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import TEXT, Family, Files, extend, token_id
from tools.families.templates import STRINGS, parts_template


def _molmo(tokenizer: PreTrainedTokenizerBase) -> Files:
    tokens = ["<im_patch>", "<im_col>", "<im_start>", "<im_end>", "<|endoftext|>"]
    extend(tokenizer, tokens, STRINGS, bos="<|endoftext|>")
    text = {
        "model_type": "molmo",
        "d_model": 64,
        "n_heads": 4,
        "n_kv_heads": 2,
        "n_layers": 2,
        "mlp_hidden_size": 96,
        "max_position_embeddings": 2048,
        "additional_vocab_size": 8,
        "embedding_size": len(tokenizer),
    }
    vision: dict[str, Any] = {
        "hidden_size": 96,
        "image_emb_dim": 48,
        "image_num_heads": 4,
        "image_num_key_value_heads": 4,
    }
    vision |= {
        "vit_layers": [-1, -2],
        "image_num_layers": 3,
        "image_num_patch": [24, 24],
        "d_model": 64,
        "image_mlp_dim": 64,
        "image_head_dim": 12,
    }
    config = {"model_type": "molmo", "text_config": text, "vision_config": vision}
    return Files(config, {"max_crops": 1})


def _molmo2(tokenizer: PreTrainedTokenizerBase) -> Files:
    names = {
        "image_start_token_id": "<im_start>",
        "image_end_token_id": "<im_end>",
        "image_patch_id": "<im_patch>",
        "image_col_id": "<im_col>",
        "low_res_image_start_token_id": "<low_res_im_start>",
        "image_low_res_id": "<im_low>",
        "frame_start_token_id": "<frame_start>",
        "frame_end_token_id": "<frame_end>",
    }
    extend(tokenizer, [*names.values(), "<|image|>"], parts_template("<|image|>"))
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 12}
    text = {**TEXT, "model_type": "molmo2", "head_dim": 16, "additional_vocab_size": 8}
    text.pop("rms_norm_eps")
    vit = {"model_type": "molmo2", "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3, **heads}
    # mlx-vlm's loader puts an image processor of its own sizes in the place of the files'.
    vit |= {"image_patch_size": 14, "image_num_pos": 729, "image_default_input_size": [378, 378]}
    adapter = {"model_type": "molmo2", "hidden_size": 48, "intermediate_size": 64, "text_hidden_size": 64, **heads}
    adapter |= {"vit_layers": [-1, -2]}
    config = {
        "model_type": "molmo2",
        "text_config": text,
        "vision_config": {"vit_config": vit, "adapter_config": adapter},
        **{name: token_id(tokenizer, token) for name, token in names.items()},
    }
    return Files(config)


FAMILIES = {
    "molmo": Family("Molmo", _molmo, pictures=1),
    "molmo2": Family("Molmo 2", _molmo2),
}
