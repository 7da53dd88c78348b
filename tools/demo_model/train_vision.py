"""Train the vision model, from scratch or from weights.

    python -m tools.demo_model.train_vision --minutes 60 --out FOLDER
    python -m tools.demo_model.train_vision --init jobs/models/built_in/demo --minutes 10 --out FOLDER

From scratch, the first quarter of the time trains only the vision tower, with a head that names the shape and the colour of every
cell; the rest trains the whole model, on answers. Matrices are trained with Muon, the other weights with AdamW: with AdamW only,
the shapes stay at chance. The same seed gives the same pictures and the same start.
"""

from __future__ import annotations

import argparse
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
from mlx_vlm.utils import load
from tokenizers import Tokenizer

from tools.demo_model.batches import Batch, draw_pictures, make_batch
from tools.demo_model.tokenizer import train_tokenizer, write_model_folder
from tools.demo_model.trainee import Trainee, initialise

VISION_SHARE = 0.25
#: Muon's learning rate from scratch, and from weights: lower, so that the model does not unlearn.
RATE, RATE_ON = 0.02, 0.004
#: AdamW's learning rate, as a part of Muon's.
ADAM_PART = 0.1
WARM_UP_STEPS = 50
REPORT_EVERY = 50


def make_optimizer(rate: float) -> optim.MultiOptimizer:
    """Make Muon for the matrices inside the layers, AdamW for embeddings, the head, norms and biases."""

    def is_layer_matrix(name: str, value: mx.array) -> bool:
        return value.ndim == 2 and "embed" not in name and "head" not in name

    # mlx adds Muon's weight decay to the gradient before orthogonalising, and the decay drowns gradients as small as these.
    muon = optim.Muon(rate, weight_decay=0.0)
    return optim.MultiOptimizer([muon, optim.AdamW(rate * ADAM_PART)], [is_layer_matrix])


def train(
    trainee: Trainee,
    objective: Callable[[Batch], tuple[mx.array, mx.array]],
    next_batch: Callable[[], Batch],
    *,
    name: str,
    minutes: float,
    rate: float,
) -> None:
    """Train until the time is over. The rates warm up and then fall linearly to a hundredth."""
    optimizer = make_optimizer(rate)
    step_gradient = nn.value_and_grad(trainee, objective)
    start, steps = time.monotonic(), 0
    losses: list[float] = []
    accuracies: list[float] = []
    while (passed := (time.monotonic() - start) / (60 * minutes)) < 1:
        factor = min(1.0, (steps + 1) / WARM_UP_STEPS) * max(0.01, 1 - passed)
        for one, part in zip(optimizer.optimizers, (1.0, ADAM_PART), strict=True):
            one.learning_rate = rate * part * factor
        (loss, accuracy), gradients = step_gradient(next_batch())
        optimizer.update(trainee, gradients)
        mx.eval(trainee.parameters(), optimizer.state, loss, accuracy)
        losses.append(loss.item())
        accuracies.append(accuracy.item())
        steps += 1
        if steps % REPORT_EVERY == 0:
            recent = slice(-REPORT_EVERY, None)
            print(
                f"{name} step {steps:5} {time.monotonic() - start:6.0f} s  loss {np.mean(losses[recent]):.4f}  "
                f"shapes of cells {np.mean(accuracies[recent]):.3f}",
                flush=True,
            )


def save(model: Any, folder: Path) -> None:
    """Write the weights in half precision, in mlx's format."""
    weights = {name: value.astype(mx.float16) for name, value in tree_flatten(model.parameters())}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})


def build(folder: Path, init: Path | None, seed: int) -> Trainee:
    """Build the model in float32, with the weights of `init` or with untrained ones."""
    if init is not None:
        shutil.copytree(init, folder, dirs_exist_ok=True)
        model, _ = load(str(folder))
    else:
        from mlx_vlm.models import qwen3_vl
        from mlx_vlm.utils import load_config

        write_model_folder(folder, train_tokenizer(seed))
        model = qwen3_vl.Model(qwen3_vl.ModelConfig.from_dict(load_config(folder)))
    model.update(tree_map(lambda value: value.astype(mx.float32), model.parameters()))
    return Trainee(model, model.config.vision_config.out_hidden_size, leads_tower=init is None)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--init", type=Path, help="a model folder with the initial weights")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, help=f"Muon's learning rate; {RATE} from scratch, {RATE_ON} from weights")
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=32, help="rows a step; half as many of two pictures")
    parser.add_argument("--pairs", type=float, default=0.35, help="share of the steps about two pictures")
    parser.add_argument("--text-first", type=float, default=0.5, help="share of the rows that ask before they show")
    parser.add_argument(
        "--binding",
        type=float,
        default=0.5,
        help="share of one-picture questions that ask which colour belongs to which shape",
    )
    parser.add_argument("--seed", type=int, default=11)
    return parser.parse_args()


def main() -> None:
    """Parse the arguments and train."""
    arguments = parse_arguments()
    rng = random.Random(arguments.seed)
    pictures = draw_pictures(arguments.pictures, rng)
    trainee = build(arguments.out, arguments.init, arguments.seed)
    tokenizer = Tokenizer.from_file(str(arguments.out / "tokenizer.json"))

    def next_batch(pair_share: float) -> Batch:
        images = 2 if rng.random() < pair_share else 1
        rows = arguments.rows // images
        return make_batch(
            pictures,
            tokenizer,
            rng,
            rows=rows,
            images_a_row=images,
            text_first=arguments.text_first,
            binding=arguments.binding,
        )

    minutes = arguments.minutes
    rate = arguments.rate or (RATE if arguments.init is None else RATE_ON)
    if arguments.init is None:
        some = [picture for of_size in pictures.values() for picture in of_size[:200]]
        initialise(trainee, some, arguments.seed)
        train(
            trainee,
            trainee.tower_loss,
            lambda: next_batch(0.0),
            name="tower",
            minutes=minutes * VISION_SHARE,
            rate=rate,
        )
        minutes *= 1 - VISION_SHARE
    train(trainee, trainee.loss, lambda: next_batch(arguments.pairs), name="whole", minutes=minutes, rate=rate)
    save(trainee.model, arguments.out)


if __name__ == "__main__":
    main()
