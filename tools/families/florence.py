"""Microsoft's Florence-2. Its files have no chat template, and captionq refuses it."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from tools.families.model import Family, Files, extend, token_id


def _florence2(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, ["<image>"], None)
    text = {
        "model_type": "florence2",
        "d_model": 64,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 96,
        "decoder_ffn_dim": 96,
        "encoder_layers": 1,
        "decoder_layers": 1,
    }
    vision = {"model_type": "davit", "depths": [1, 1, 1, 1], "dim_embed": [16, 16, 32, 64], "hidden_size": 64}
    vision |= {"num_heads": [2, 2, 2, 2], "num_groups": [2, 2, 2, 2]}
    image = token_id(tokenizer, "<image>")
    config = {"model_type": "florence2", "text_config": text, "vision_config": vision, "image_token_index": image}
    pixels = {"image_processor_type": "CLIPImageProcessor", "size": {"height": 768, "width": 768}}
    return Files(config, pixels, {"processor_class": "Florence2Processor"}, {"image_token": "<image>"})


FAMILIES = {"florence2": Family("Florence-2", _florence2, pictures=1)}
