"""Microsoft's families that chat."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from tools.families.model import SIGLIP, TEXT, Family, Files, extend

#: Template of strings, with the turns that the processor looks for.
_TURNS = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_SIZES = {name: value for name, value in TEXT.items() if name != "max_position_embeddings"}


def _phi4_siglip(tokenizer: PreTrainedTokenizerBase) -> Files:
    extend(tokenizer, ["<image>"], _TURNS)
    config: dict[str, Any] = {
        "model_type": "phi4-siglip",
        # Published files have the text's sizes at the top; mlx-vlm reads them here, or takes those of the published model.
        "text_config": {**_SIZES, "model_type": "phi4-siglip"},
        "max_position_embeddings": 2048,
        "mm_hidden_size": 48,
        "mm_vision_tower": "google/siglip2-so400m-patch16-naflex",
        "min_num_patches": 16,
        "max_num_patches": 64,
        "vision_config": {**SIGLIP, "model_type": "siglip2_vision_model", "num_patches": 64},
    }
    return Files(config)


FAMILIES = {
    # Without PyTorch transformers has no image processor for its tower, and captionq refuses its pictures.
    "phi4_siglip": Family("Phi-4 Reasoning Vision", _phi4_siglip),
}
