"""IBM's families."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import SIGLIP, TEXT, Family, Files, extend, token_id
from tools.families.templates import parts_template


def _granite_vision(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, ["<image>"], parts_template("<image>"))
    pins = {"image_grid_pinpoints": [[64, 128], [128, 64], [128, 128]]}
    config: dict[str, Any] = {
        "model_type": "granite_vision",
        # The published multiplier is for heads of 128; with these heads every token would look the same.
        "text_config": {**TEXT, "model_type": "granite", "attention_multiplier": 0.25},
        "vision_config": SIGLIP,
        "vision_feature_layer": [-2, -1],
        "image_token_index": token_id(tokenizer, "<image>"),
        **pins,
    }
    pixels = {"image_processor_type": "LlavaNextImageProcessor", "size": {"height": 64, "width": 64}, **pins}
    pixels["crop_size"] = {"height": 64, "width": 64}
    names = {"processor_class": "LlavaNextProcessor", "patch_size": 8, "vision_feature_select_strategy": "full"}
    return Files(config, pixels, names, {"image_token": "<image>"})


FAMILIES = {"granite_vision": Family("Granite Vision 3", _granite_vision, pictures=1)}
