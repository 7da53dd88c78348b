"""The vision model in training: the model, an auxiliary head, the losses and the initial weights."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from tools.demo_model.batches import Batch, patchify
from tools.demo_model.scenes import COLORS, SHAPES

#: Weight of the cells' loss, relative to the answers' loss.
AUXILIARY = 0.4
#: Weight of a cell that shows the ground, relative to a cell that shows a shape.
GROUND = 0.25


class CellHead(nn.Module):
    """A head that names the shape and the colour of every image token, from the tower's features and from its deepstack's."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.plain = nn.Linear(size, len(SHAPES) + len(COLORS) + 2)
        self.deep = nn.Linear(size, len(SHAPES) + len(COLORS) + 2)

    def loss(self, features: mx.array, deepstack: mx.array, cells: mx.array) -> tuple[mx.array, mx.array]:
        """Return the mean cross entropy, and the share of cells with a shape whose shape is named right."""
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
    """The model, and the head that helps to train it."""

    def __init__(self, model: Any, size: int, *, leads_tower: bool) -> None:
        """`leads_tower`: whether the cells' loss trains the tower too. A new head would lead a trained tower astray."""
        super().__init__()
        self._leads_tower = leads_tower
        self.model = model
        self.head = CellHead(size)

    def tower_loss(self, batch: Batch) -> tuple[mx.array, mx.array]:
        """Return the cells' loss, and the accuracy of their shapes."""
        features, deepstack = self.model.vision_tower(mx.array(batch.patches), mx.array(batch.grids))
        return self.head.loss(features, deepstack[0], mx.array(batch.cells))

    def loss(self, batch: Batch) -> tuple[mx.array, mx.array]:
        """Return the sum of the answers' and the cells' losses, and the accuracy of the shapes."""
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
        # The prediction at a token is for the next one.
        answers = np.flatnonzero(batch.answers.reshape(-1)).astype(np.uint32)
        before = hidden.reshape(-1, hidden.shape[-1])[mx.array(answers - 1)]
        logits = language.model.embed_tokens.as_linear(before)
        targets = ids.reshape(-1)[mx.array(answers)]
        weights = mx.array(batch.weights.reshape(-1)[answers])
        asked = (nn.losses.cross_entropy(logits, targets) * weights).sum() / weights.sum()
        return asked + AUXILIARY * auxiliary, accuracy


def initialise(trainee: Trainee, pictures: list[Any], seed: int) -> None:
    """Set small random matrices, and a patch embedding that whitens the patches of real pictures (PCA)."""
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
    # The constant keeps the noise of the weakest components from being amplified.
    filters = (vectors[:, strongest] / np.sqrt(values[strongest] + 2e-3)).T
    shaped = filters.reshape(size, channels, frames, side, side).transpose(0, 2, 3, 4, 1)
    embed.weight = mx.array(shaped.astype(np.float32))
    embed.bias = mx.array((-filters @ mean).astype(np.float32))
