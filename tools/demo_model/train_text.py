"""Train the text-only model, from scratch or from weights: about two minutes on one core.

python -m tools.demo_model.train_text --tokenizer jobs/models/built_in/demo --out FOLDER
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_map
from mlx_lm.models.qwen3 import Model, ModelArgs
from tokenizers import Tokenizer

from tools.demo_model import texts

TURNS = (*texts.TALK, *texts.NO_EYES)
WARM_UP_STEPS = 30
RATE = 4e-3
ROWS = 16
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")


def text_config(vision_config: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a `qwen3` of 0.1 M parameters with the vision model's vocabulary."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "rms_norm_eps": 1e-6,
        "vocab_size": vision_config["vocab_size"],
        "rope_theta": 10000.0,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "rope_scaling": None,
        "eos_token_id": vision_config["eos_token_id"],
        "pad_token_id": 0,
        "dtype": "float16",
    }


def make_batch(tokenizer: Tokenizer, rng: random.Random) -> tuple[mx.array, mx.array]:
    """Return ids (rows, length), and weights: 1 where the next token belongs to an answer."""
    rows = []
    for _ in range(ROWS):
        asked, answer = rng.choice(TURNS)
        system = rng.choice(texts.SYSTEM_MESSAGES)
        opening = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
        prompt = tokenizer.encode(f"{opening}<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n").ids
        rows.append((prompt, tokenizer.encode(f"{answer}<|im_end|>").ids))
    length = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = np.zeros((ROWS, length), np.int32)
    weights = np.zeros((ROWS, length), np.float32)
    for number, (before, after) in enumerate(rows):
        end = len(before) + len(after)
        ids[number, :end] = before + after
        weights[number, len(before) - 1 : end - 1] = 1
    return mx.array(ids), mx.array(weights)


def train(model: Any, next_batch: Callable[[], tuple[mx.array, mx.array]], steps: int) -> None:
    """AdamW with a short warm-up and a cosine."""

    def loss(ids: mx.array, weights: mx.array) -> mx.array:
        losses = nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:])
        mean: mx.array = (losses * weights[:, :-1]).sum() / weights.sum()
        return mean

    schedule = optim.join_schedules(
        [optim.linear_schedule(0, RATE, WARM_UP_STEPS), optim.cosine_decay(RATE, max(1, steps - WARM_UP_STEPS))],
        [WARM_UP_STEPS],
    )
    optimizer = optim.AdamW(schedule, weight_decay=0.01)
    gradient = nn.value_and_grad(model, loss)
    start = time.monotonic()
    for step in range(1, steps + 1):
        value, gradients = gradient(*next_batch())
        gradients, _ = optim.clip_grad_norm(gradients, 1.0)
        optimizer.update(model, gradients)
        mx.eval(value, model.state, optimizer.state)
        if step % 100 == 0 or step == steps:
            print(f"step {step:5} {time.monotonic() - start:6.0f} s  loss {value.item():.4f}", flush=True)


def build(folder: Path, tokenizer_from: Path, init: Path | None, seed: int) -> Any:
    """Build the model, with the weights of `init` or with small random matrices. Writes all files but the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copy(tokenizer_from / name, folder / name)
    config = text_config(json.loads((tokenizer_from / "config.json").read_text()))
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    model = Model(ModelArgs.from_dict(config))
    mx.random.seed(seed)
    weights = [
        (name, mx.random.normal(value.shape) * (0.05 if "embed" in name else value.shape[-1] ** -0.5))
        for name, value in tree_flatten(model.parameters())
        if value.ndim == 2
    ]
    model.load_weights(weights, strict=False)
    if init is not None:
        model.load_weights(str(init / "model.safetensors"))
        model.update(tree_map(lambda value: value.astype(mx.float32), model.parameters()))
    return model


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="the vision model's folder, whose tokenizer is shared"
    )
    parser.add_argument("--init", type=Path, help="a model folder with the initial weights")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    model = build(arguments.out, arguments.tokenizer, arguments.init, arguments.seed)
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer / "tokenizer.json"))
    train(model, lambda: make_batch(tokenizer, rng), arguments.steps)
    weights = {name: value.astype(mx.float16) for name, value in tree_flatten(model.parameters())}
    mx.save_safetensors(str(arguments.out / "model.safetensors"), weights, {"format": "mlx"})


if __name__ == "__main__":
    main()
