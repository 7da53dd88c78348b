"""Train the vision model, from scratch or from weights.

    python -m tools.demo_model.train_vision --minutes 60 --out FOLDER
    python -m tools.demo_model.train_vision --init jobs/models/built_in/demo --minutes 10 --out FOLDER

From scratch a quarter of the time goes to the vision tower alone, with a head that names the shape and the colour of every
cell; the rest to the whole model, on answers only. Matrices are trained with Muon, the rest with AdamW: with AdamW alone the
shapes stay at chance. The same seed gives the same pictures and the same start.
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

from tools.demo_model.batches import Batch, draw_pictures, make_batch, patchify
from tools.demo_model.scenes import COLORS, SHAPES
from tools.demo_model.tokenizer import train_tokenizer, write_model_folder

VISION_SHARE = 0.25
#: Weight of the cells' loss beside the answers' loss.
AUXILIARY = 0.4
#: Weight of a cell that shows the ground, beside one that shows a shape.
GROUND = 0.25
#: Muon's learning rate from scratch, and from weights: gentler, so that what is there is not shaken loose.
RATE, RATE_ON = 0.02, 0.004
#: AdamW's, as a part of Muon's.
ADAM_PART = 0.1
WARM_UP_STEPS = 50
REPORT_EVERY = 50


class CellHead(nn.Module):
    """Names the shape and the colour of every image token, from the tower's features and from its deepstack's."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.plain = nn.Linear(size, len(SHAPES) + len(COLORS) + 2)
        self.deep = nn.Linear(size, len(SHAPES) + len(COLORS) + 2)

    def loss(self, features: mx.array, deepstack: mx.array, cells: mx.array) -> tuple[mx.array, mx.array]:
        """The mean cross entropy, and how many of the cells with a shape are named right (shape alone)."""
        weights = mx.where(cells[:, 0] > 0, 1.0, GROUND)
        split = len(SHAPES) + 1
        total = mx.array(0.0)
        for logits in (self.plain(features), self.deep(deepstack)):
            for part, labels in ((logits[:, :split], cells[:, 0]), (logits[:, split:], cells[:, 1])):
                total = total + (nn.losses.cross_entropy(part, labels) * weights).sum() / weights.sum()
        named = mx.argmax(self.plain(features)[:, :split], axis=-1) == cells[:, 0]
        shown = cells[:, 0] > 0
        return total / 4, (named & shown).sum() / mx.maximum(shown.sum(), 1)


class Trainee(nn.Module):
    """The model and the head that helps to train it."""

    def __init__(self, model: Any, size: int, *, leads_tower: bool) -> None:
        """`leads_tower`: whether the cells' loss trains the tower too: a new head would lead a trained one astray."""
        super().__init__()
        self._leads_tower = leads_tower
        self.model = model
        self.head = CellHead(size)

    def tower_loss(self, batch: Batch) -> tuple[mx.array, mx.array]:
        """The cells' loss alone, and the accuracy of their shapes."""
        features, deepstack = self.model.vision_tower(mx.array(batch.patches), mx.array(batch.grids))
        return self.head.loss(features, deepstack[0], mx.array(batch.cells))

    def loss(self, batch: Batch) -> tuple[mx.array, mx.array]:
        """The answers' and the cells' loss together, and the accuracy of the shapes."""
        features, deepstack = self.model.vision_tower(mx.array(batch.patches), mx.array(batch.grids))
        seen = (features, deepstack[0])
        if not self._leads_tower:
            seen = (mx.stop_gradient(features), mx.stop_gradient(deepstack[0]))
        auxiliary, accuracy = self.head.loss(*seen, mx.array(batch.cells))
        language = self.model.language_model
        ids = mx.array(batch.ids)
        embeddings = language.model.embed_tokens(ids)
        shown = batch.ids == self.model.config.image_token_id
        where = mx.array(np.flatnonzero(shown).astype(np.uint32))
        flat = embeddings.reshape(-1, embeddings.shape[-1])
        flat = flat.at[where].add(features - flat[where])
        hidden = language.model(
            ids,
            inputs_embeds=flat.reshape(embeddings.shape),
            mask=mx.where(mx.array(batch.allowed), 0.0, -1e9),
            position_ids=mx.array(batch.positions),
            visual_pos_masks=mx.array(shown),
            deepstack_visual_embeds=deepstack,
        )
        # What is predicted at a token is the one after it.
        answers = np.flatnonzero(batch.answers.reshape(-1)).astype(np.uint32)
        before = hidden.reshape(-1, hidden.shape[-1])[mx.array(answers - 1)]
        logits = language.model.embed_tokens.as_linear(before)
        targets = ids.reshape(-1)[mx.array(answers)]
        weights = mx.array(batch.weights.reshape(-1)[answers])
        asked = (nn.losses.cross_entropy(logits, targets) * weights).sum() / weights.sum()
        return asked + AUXILIARY * auxiliary, accuracy


def initialise(trainee: Trainee, pictures: list[Any], seed: int) -> None:
    """Small random matrices, and a patch embedding that whitens the patches of real pictures (PCA)."""
    mx.random.seed(seed)
    weights = []
    for name, value in tree_flatten(trainee.model.parameters()):
        if value.ndim < 2:
            weights.append(
                (name, mx.ones_like(value) if "norm" in name and name.endswith("weight") else mx.zeros_like(value))
            )
            continue
        scale = (
            0.02 if "pos_embed" in name else 0.05 if "embed_tokens" in name else float(np.prod(value.shape[1:])) ** -0.5
        )
        if name.endswith(("attn.proj.weight", "o_proj.weight", "linear_fc2.weight", "down_proj.weight")):
            scale *= 0.5
        weights.append((name, mx.random.normal(value.shape) * scale))
    trainee.model.load_weights(weights)
    embed = trainee.model.vision_tower.patch_embed.proj
    size, frames, side, _, channels = embed.weight.shape
    patches = np.concatenate([patchify(picture.pixels) for picture in pictures]).astype(np.float64)
    mean = patches.mean(0)
    values, vectors = np.linalg.eigh(np.cov((patches - mean).T))
    strongest = np.argsort(-values)[:size]
    # The floor keeps the noise of the weakest components from being blown up.
    filters = (vectors[:, strongest] / np.sqrt(values[strongest] + 2e-3)).T
    shaped = filters.reshape(size, channels, frames, side, side).transpose(0, 2, 3, 4, 1)
    embed.weight = mx.array(shaped.astype(np.float32))
    embed.bias = mx.array((-filters @ mean).astype(np.float32))


def make_optimizer(rate: float) -> optim.MultiOptimizer:
    """Muon for the matrices inside the layers, AdamW for embeddings, the head, norms and biases."""

    def is_layer_matrix(name: str, value: mx.array) -> bool:
        return value.ndim == 2 and "embed" not in name and "head" not in name

    # mlx adds Muon's weight decay to the gradient before that is orthogonalised, and it drowns gradients as small as these.
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
    """Until the time is over; the rates warm up and then fall linearly to a hundredth."""
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
    """The weights in half precision, in mlx's format."""
    weights = {name: value.astype(mx.float16) for name, value in tree_flatten(model.parameters())}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})


def build(folder: Path, init: Path | None, seed: int) -> Trainee:
    """The model in float32, with the weights of `init` or with none that mean anything yet."""
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


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--init", type=Path, help="a model folder whose weights to begin with")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, help=f"Muon's learning rate; {RATE} from scratch, {RATE_ON} from weights")
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=32, help="rows a step; half as many of two pictures")
    parser.add_argument("--pairs", type=float, default=0.35, help="share of the steps about two pictures")
    parser.add_argument("--text-first", type=float, default=0.5, help="share of the rows that ask before they show")
    parser.add_argument(
        "--binding", type=float, default=0.5, help="of those about one picture, share that asks what goes with what"
    )
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
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
