"""Make the benchmark's model: a complete folder of a `qwen2_vl` with 38 M random parameters.

    python -m bench.model FOLDER

The model knows nothing. Its answers depend on the picture and always have the greatest length, because only words can be the
most likely token. Each word is one token and unlike all others, so equal texts mean equal token ids.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_vlm.models import qwen2_vl

from jobs.models.model_info import built_in_models

#: Ids of the built-in model's tokenizer, which comes first in this one's vocabulary.
_IM_END, _VISION_START, _VISION_END, _IMAGE, _VIDEO = 2, 3, 4, 6, 7
VOCABULARY = 8192
#: Area of a picture after the processor has scaled it: 224², 64 tokens.
PIXELS = 224 * 224
#: Factor of the random weights, so that the logits lie apart and depend on the tokens before.
_GROWTH = 2.0

#: Qwen2-VL's, with its default system prompt; the `vision_id` counter is left out.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONFIG: dict[str, Any] = {
    "model_type": "qwen2_vl",
    "architectures": ["Qwen2VLForConditionalGeneration"],
    "hidden_size": 512,
    "num_hidden_layers": 7,
    "intermediate_size": 1408,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 4096,
    "rope_theta": 1000000.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [8, 12, 12]},
    "vocab_size": VOCABULARY,
    "tie_word_embeddings": False,
    "image_token_id": _IMAGE,
    "video_token_id": _VIDEO,
    "vision_start_token_id": _VISION_START,
    "vision_end_token_id": _VISION_END,
    "eos_token_id": [_IM_END],
    "bos_token_id": 0,
    "vision_config": {
        "model_type": "qwen2_vl",
        "depth": 6,
        "embed_dim": 320,
        "hidden_size": 512,
        "num_heads": 5,
        "mlp_ratio": 4,
        "patch_size": 14,
        "spatial_patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    },
}
_PREPROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "min_pixels": 56 * 56,
    "max_pixels": PIXELS,
    "size": {"shortest_edge": 56 * 56, "longest_edge": PIXELS},
}


def save_model(folder: Path, seed: int = 0) -> int:
    """Write config, weights, tokenizer, processor config and chat template. Returns the number of parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    written = _save_tokenizer(folder)
    files = {
        "config": CONFIG,
        "preprocessor_config": _PREPROCESSOR,
        "generation_config": {"do_sample": False, "eos_token_id": [_IM_END]},
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    return _save_weights(folder, seed, written)


def _save_tokenizer(folder: Path) -> int:
    """Write the built-in model's byte-level BPE, filled up with words that no text is split into. Returns the first word's id."""
    source = built_in_models()["demo"]
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    first = max(vocabulary.values()) + 1
    # Ġ is how byte-level BPE writes a space.
    vocabulary.update({f"Ġw{number:04}": number for number in range(first, VOCABULARY)})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    config = json.loads((source / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "processor_class": "Qwen2VLProcessor"}))
    return first


def _save_weights(folder: Path, seed: int, first_word: int) -> int:
    config = qwen2_vl.ModelConfig.from_dict(json.loads(json.dumps(CONFIG)))
    config.text_config = qwen2_vl.TextConfig.from_dict(config.text_config)
    config.vision_config = qwen2_vl.VisionConfig.from_dict(CONFIG["vision_config"])
    mx.random.seed(seed)
    weights = {
        name: array if array.ndim < 2 or "embed_tokens" in name else array * _GROWTH
        for name, array in tree_flatten(qwen2_vl.Model(config).parameters())
    }
    # The logit of an id that is not a word is 0, and among thousands of random logits some are far above 0.
    head = weights["language_model.lm_head.weight"]
    weights["language_model.lm_head.weight"] = mx.where(mx.arange(VOCABULARY)[:, None] < first_word, 0, head)
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})
    return sum(array.size for array in weights.values())


def main() -> None:
    """Parse the arguments and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{save_model(arguments.folder, arguments.seed):,} parameters in {arguments.folder}")


if __name__ == "__main__":
    main()
