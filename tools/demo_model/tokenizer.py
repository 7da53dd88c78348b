"""The tokenizer and the configs of the built-in models: byte-level BPE and ChatML.

    python -m tools.demo_model.tokenizer FOLDER

Writes all files of a model but its weights.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.demo_model import texts
from tools.demo_model.scenes import make_scene

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>"),
    *("<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
CONTEXT = 2048
#: The target of the BPE training; the texts have fewer pairs worth a token, so training ends at 666.
VOCABULARY = 720
#: Pixels of the smallest and largest picture that the vision tower gets: 16 to 24 tokens.
MIN_PIXELS, MAX_PIXELS = 4096, 6144

CHAT_TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}{%- for item in message.content %}"
    "{%- if item.type == 'image' or item.type == 'image_url' or 'image' in item or 'image_url' in item %}"
    "{{- '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif item.type == 'video' or 'video' in item %}{{- '<|vision_start|><|video_pad|><|vision_end|>' }}"
    "{%- elif 'text' in item %}{{- item.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def train_tokenizer(seed: int) -> Tokenizer:
    """Train a BPE on texts about some thousand scenes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(random.Random(seed)), trainer)
    return tokenizer


def write_model_folder(folder: Path, tokenizer: Tokenizer) -> None:
    """Write tokenizer, chat template and configs of the vision model."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    # The trainer gives the special tokens the first ids.
    ids = dict(zip(SPECIAL, range(len(SPECIAL)), strict=True))
    files = {
        "tokenizer_config.json": _tokenizer_config(),
        "config.json": vision_config(tokenizer.get_vocab_size(), ids),
        "generation_config.json": _generation_config(ids),
        "preprocessor_config.json": _preprocessor_config(),
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n")


def vision_config(vocabulary: int, ids: dict[str, int]) -> dict[str, Any]:
    """Return the config of a `qwen3_vl` of 1.2 M parameters, with one deepstack layer."""
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "dtype": "float16",
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_token_id": ids["<|vision_pad|>"],
        "tie_word_embeddings": True,
        "vocab_size": vocabulary,
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "pad_token_id": ids["<|endoftext|>"],
        "text_config": {
            "model_type": "qwen3_vl_text",
            "num_hidden_layers": 3,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "rms_norm_eps": 1e-6,
            "vocab_size": vocabulary,
            "rope_theta": 10000.0,
            "max_position_embeddings": CONTEXT,
            "rope_scaling": {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [6, 5, 5]},
            "tie_word_embeddings": True,
            "attention_bias": False,
            "hidden_act": "silu",
        },
        "vision_config": {
            "model_type": "qwen3_vl",
            "depth": 3,
            "hidden_size": 96,
            "intermediate_size": 192,
            "num_heads": 4,
            "out_hidden_size": 128,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "spatial_patch_size": 8,
            "temporal_patch_size": 2,
            "in_channels": 3,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [1],
            "hidden_act": "gelu_pytorch_tanh",
        },
    }


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "bos_token": None,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        "chat_template": CHAT_TEMPLATE,
        "additional_special_tokens": list(SPECIAL),
    }


def _generation_config(ids: dict[str, int]) -> dict[str, Any]:
    return {
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "pad_token_id": ids["<|endoftext|>"],
        "do_sample": False,
    }


def _preprocessor_config() -> dict[str, Any]:
    return {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "processor_class": "Qwen3VLProcessor",
        "patch_size": 8,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "size": {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS},
        "min_pixels": MIN_PIXELS,
        "max_pixels": MAX_PIXELS,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }


def _corpus(rng: random.Random) -> Iterator[str]:
    for _ in range(4000):
        first, second = make_scene(rng), make_scene(rng)
        yield from (texts.caption(first), texts.keywords(first), texts.as_json(first))
        yield from (*texts.question(first, rng), *texts.pair_question(first, second, rng))
    # Fixed texts are repeated, so that they weigh as much as in a conversation.
    for prompt in (*texts.CAPTION_PROMPTS, *texts.KEYWORD_PROMPTS, *texts.JSON_PROMPTS):
        yield from [prompt] * 300
    for turn in (*texts.TALK, *texts.NO_IMAGE):
        yield from [*turn] * 30
    for system in texts.SYSTEM_MESSAGES:
        yield from [system or "system user assistant"] * 30
    yield from ["user\n", "assistant\n", "system\n"] * 100


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write_model_folder(arguments.folder, train_tokenizer(arguments.seed))
