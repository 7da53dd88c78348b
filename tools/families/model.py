"""Files of a tiny model: config, weights, tokenizer, processor, chat template."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from jobs.models.model_info import built_in_models

#: Ids of the built-in tokenizer, which the Qwen families need nothing else beside.
VISION_START, IMAGE, VIDEO, EOS = 3, 6, 7, 2
#: Factor of the random weights: logits lie far apart, and depend on the picture and on every word.
_GROWTH = 4.0

TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 2048,
}
SIGLIP: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "patch_size": 8,
    "image_size": 64,
}


@dataclass(frozen=True)
class Files:
    """Contents of a model's folder, beside its weights and its tokenizer."""

    config: dict[str, Any]
    #: preprocessor_config.json
    pixels: dict[str, Any] = field(default_factory=dict)
    #: processor_config.json
    processor: dict[str, Any] = field(default_factory=dict)
    #: Tokens that the processor finds by an attribute of the tokenizer.
    tokens: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """A family of models, and how to build a tiny one."""

    #: Published models that are of this family.
    stands_for: str
    build: Callable[[PreTrainedTokenizerBase], Files]
    #: Maximum number of pictures in one request.
    pictures: int = 2


def save(family: Family, folder: Path, seed: int = 0, *, says_vocabulary: bool = True) -> Path:
    """Write a model of the family into the folder.

    Args:
        says_vocabulary: The config names the vocabulary's size; else it is left to the library's default.
    """
    tokenizer = AutoTokenizer.from_pretrained(built_in_models()["demo"])
    files = family.build(tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    config = {"eos_token_id": [EOS], "bos_token_id": 0, **files.config}
    if says_vocabulary:
        text = next(
            (config[name] for name in ("text_config", "llm_config", "language_config") if name in config), config
        )
        config["vocab_size"] = text["vocab_size"] = len(tokenizer)
    contents = {"config": config, "preprocessor_config": files.pixels, "processor_config": files.processor}
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    _name_tokens(folder / "tokenizer_config.json", files.tokens)
    _save_weights(config, folder, seed)
    return folder


def extend(tokenizer: PreTrainedTokenizerBase, tokens: list[str], template: str | None, bos: str | None = None) -> None:
    """Add a family's special tokens and its chat template. `bos`: the token that begins a prompt."""
    tokenizer.add_tokens(tokens, special_tokens=True)
    tokenizer.chat_template = template
    if bos is not None:
        tokenizer.bos_token = bos


def fill_up(tokenizer: PreTrainedTokenizerBase, until: int) -> None:
    """Add unused words until the next special token gets this id: some processors hold fixed ids."""
    from tokenizers import Tokenizer

    content = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary.update({f"<unused {number}>": number for number in range(len(tokenizer), until)})
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(content))  # noqa: SLF001 - nothing public replaces it


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """Return the id of a special token."""
    found = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(found, int)
    return found


def _save_weights(config: dict[str, Any], folder: Path, seed: int) -> None:
    from mlx_vlm.utils import get_model_and_args, update_module_configs

    # As mlx-vlm's loader does; it fills in and changes the config.
    config = json.loads(json.dumps(config))
    config.setdefault("text_config", config.pop("llm_config", {}))
    config.setdefault("vision_config", {})
    config.setdefault("audio_config", {})
    arch, _ = get_model_and_args(config)
    parsed = arch.ModelConfig.from_dict(config)
    modules = ["text", "vision", "perceiver", "projector", "audio"]
    mx.random.seed(seed)
    weights = tree_flatten(arch.Model(update_module_configs(parsed, arch, config, modules)).parameters())
    mx.save_safetensors(
        str(folder / "model.safetensors"), {name: _grown(name, array) for name, array in weights}, {"format": "mlx"}
    )


def _grown(name: str, array: mx.array) -> mx.array:
    """Enlarge the weights of a matrix, and replace zeros, with which a router cannot choose and a gate stays shut."""
    if (array.ndim > 1 or "gate" in name) and not array.any():
        return mx.random.normal(array.shape).astype(array.dtype)
    # Embeddings do not grow, or each token would follow from the last one only.
    return array if array.ndim < 2 or "embed_tokens" in name else array * _GROWTH


def _name_tokens(path: Path, tokens: dict[str, str]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra_special_tokens": tokens}))
