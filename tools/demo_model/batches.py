"""Training batches: pictures as patches, and several questions about each behind one prefix.

A row of a batch is `system? user [image…]` followed by 1 to 5 turns. Each turn sees the prefix and itself, not its siblings (a
block mask), and its positions begin at the end of the prefix: to the model every turn looks like the first one, and the picture
is encoded once for all turns.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from tokenizers import Tokenizer

from tools.demo_model import texts
from tools.demo_model.scenes import COLORS, MODEL_SIZES, SHAPES, Scene, make_scene, mirrored, render
from tools.demo_model.tokenizer import SPECIAL

PATCH, MERGE = 8, 2
#: Pixels a side of a merged cell: one token.
CELL = PATCH * MERGE
#: The id that stands for a cell of an image.
IMAGE_PAD = SPECIAL.index("<|image_pad|>")

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Picture:
    """A picture: pixels (height, width, 3) of 0…255, and the scene that they show."""

    pixels: npt.NDArray[np.uint8]
    scene: Scene


#: Rows with pictures for each row without a picture.
TALK_SHARE = 10


@dataclass(frozen=True)
class Batch:
    """A batch: B rows of L tokens, and their N pictures in the order of their tokens."""

    ids: Ints  #: (B, L)
    positions: Ints  #: (3, B, L): time, height and width
    allowed: npt.NDArray[np.bool_]  #: (B, 1, L, L)
    answers: npt.NDArray[np.bool_]  #: (B, L): the tokens to predict
    weights: Floats  #: (B, L): the weight of each of them in the loss; 0 for other tokens
    patches: Floats  #: (patches of all pictures, 384)
    grids: Ints  #: (N, 3): frames, rows and columns of patches
    cells: Ints  #: (image tokens of all pictures, 2): the shape and the colour there, 0 for the ground


def draw_pictures(count: int, rng: random.Random) -> dict[tuple[int, int], list[Picture]]:
    """Draw pictures of every size that the image processor makes; half of them are scaled down from a larger picture."""
    pictures: dict[tuple[int, int], list[Picture]] = {size: [] for size in MODEL_SIZES}
    for _ in range(count):
        size = rng.choice(list(MODEL_SIZES))
        width, height = MODEL_SIZES[size]
        scene = make_scene(rng, width / height)
        image = render(scene, size, rng)
        if rng.random() < 0.5:
            factor = rng.choice([2, 3])
            large = (int(size[0] * factor * rng.uniform(0.93, 1.07)), size[1] * factor)
            image = render(scene, large, rng).resize(size, Image.Resampling.BICUBIC)
        pictures[size].append(Picture(np.asarray(image), scene))
    return pictures


def make_batch(
    pictures: dict[tuple[int, int], list[Picture]],
    tokenizer: Tokenizer,
    rng: random.Random,
    *,
    rows: int,
    images_a_row: int,
    text_first: float = 0.5,
    binding: float = 0.5,
) -> Batch:
    """Make rows about one or two pictures of one size, and a few rows without a picture.

    Args:
        text_first: share of the rows with the question before the picture.
        binding: share of those about one picture that ask which colour belongs to which shape. Without it such questions are
            half a percent of the loss, and the model only learns whether colour and shape are both somewhere in the picture.
    """
    size = rng.choice(list(pictures))
    packed, shown = [], []
    for _ in range(rows):
        row_pictures = [_mirrored_at_random(rng.choice(pictures[size]), rng) for _ in range(images_a_row)]
        shown += row_pictures
        asks_first = rng.random() < text_first
        binds = asks_first and images_a_row == 1 and rng.random() < binding
        packed.append(_Row(tokenizer, rng, row_pictures, text_first=asks_first, binds=binds))
    # Talk that is not practised is forgotten within minutes.
    packed += [_Row(tokenizer, rng, [], text_first=False, binds=False) for _ in range(max(1, rows // TALK_SHARE))]
    return _assemble(packed, shown)


def patchify(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Turn (height, width, 3) into (patches, 384), in the image processor's order: patches of a merged cell are neighbours."""
    height, width, _ = pixels.shape
    values = (pixels.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)
    blocks = values.reshape(3, height // CELL, MERGE, PATCH, width // CELL, MERGE, PATCH)
    single = blocks.transpose(1, 4, 2, 5, 0, 3, 6).reshape(-1, 3, 1, PATCH, PATCH)
    # A still picture is a film of two equal frames.
    return np.repeat(single, 2, axis=2).reshape(len(single), -1)


def cell_labels(scene: Scene, size: tuple[int, int]) -> Ints:
    """Return (cells, 2): the shape and the colour at each cell's middle; 0 for the ground."""
    columns, rows = size[0] // CELL, size[1] // CELL
    down, across = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
    labels = np.zeros((rows, columns, 2), np.int32)
    nearest = np.full((rows, columns), np.inf)
    for shape in scene.shapes:
        distance = np.hypot(across * scene.aspect - shape.x, down - shape.y)
        covered = (distance < shape.radius + 4 / size[1]) & (distance / shape.radius < nearest)
        nearest = np.where(covered, distance / shape.radius, nearest)
        labels[covered] = (SHAPES.index(shape.kind) + 1, list(COLORS).index(shape.color) + 1)
    return labels.reshape(-1, 2)


def _mirrored_at_random(picture: Picture, rng: random.Random) -> Picture:
    left_right, top_bottom = rng.random() < 0.5, rng.random() < 0.5
    pixels = picture.pixels[:: -1 if top_bottom else 1, :: -1 if left_right else 1]
    return Picture(pixels, mirrored(picture.scene, left_right=left_right, top_bottom=top_bottom))


class _Row:
    """A row in the making: tokens, positions, turn numbers (0: the prefix), answer flags and weights."""

    def __init__(
        self, tokenizer: Tokenizer, rng: random.Random, pictures: list[Picture], *, text_first: bool, binds: bool
    ) -> None:
        self._tokenizer = tokenizer
        self.ids: list[int] = []
        self.positions: list[tuple[int, int, int]] = []
        self.turns: list[int] = []
        self.answers: list[bool] = []
        self.weights: list[float] = []
        self._next = 0
        if system := rng.choice(texts.SYSTEM_MESSAGES):
            self._say(f"<|im_start|>system\n{system}<|im_end|>\n")
        self._say("<|im_start|>user\n")
        scenes = [picture.scene for picture in pictures]
        if text_first:
            asked, answer = texts.binding_question(scenes[0], rng) if binds else _turns(scenes, rng)[0]
            self._say(asked)
            self._show(pictures)
            self._turn(1, "", answer)
        else:
            self._show(pictures)
            start = self._next
            for number, (asked, answer) in enumerate(_turns(scenes, rng), 1):
                self._next = start
                self._turn(number, asked, answer)

    def _say(self, text: str, turn: int = 0, *, is_answer: bool = False) -> None:
        ids = self._tokenizer.encode(text).ids
        self.ids += ids
        self.positions += [(self._next + offset,) * 3 for offset in range(len(ids))]
        self.turns += [turn] * len(ids)
        self.answers += [is_answer] * len(ids)
        # With equal weights for all tokens, long answers would drown the words yes and no.
        self.weights += [len(ids) ** -0.5 if is_answer else 0.0] * len(ids)
        self._next += len(ids)

    def _show(self, pictures: list[Picture]) -> None:
        for picture in pictures:
            rows, columns = picture.pixels.shape[0] // CELL, picture.pixels.shape[1] // CELL
            self._say("<|vision_start|>")
            self.ids += [IMAGE_PAD] * (rows * columns)
            start = self._next
            self.positions += [(start, start + row, start + column) for row in range(rows) for column in range(columns)]
            self.turns += [0] * (rows * columns)
            self.answers += [False] * (rows * columns)
            self.weights += [0.0] * (rows * columns)
            self._next += max(rows, columns)
            self._say("<|vision_end|>")

    def _turn(self, number: int, asked: str, answer: str) -> None:
        self._say(asked + "<|im_end|>\n<|im_start|>assistant\n", number)
        self._say(answer + "<|im_end|>", number, is_answer=True)


def _turns(scenes: list[Scene], rng: random.Random) -> list[tuple[str, str]]:
    """Choose questions about one picture or two, or some talk."""
    if not scenes:
        return rng.sample([*texts.TALK, *texts.NO_IMAGE], 5)
    if len(scenes) == 2:
        return [texts.pair_question(scenes[0], scenes[1], rng) for _ in range(3)]
    scene = scenes[0]
    other = rng.choice(
        [
            (rng.choice(texts.KEYWORD_PROMPTS), texts.keywords(scene)),
            (rng.choice(texts.JSON_PROMPTS), texts.as_json(scene)),
        ]
    )
    turns = [(rng.choice(texts.CAPTION_PROMPTS), texts.caption(scene)), other]
    turns += [texts.question(scene, rng) for _ in range(3)]
    # A row with the text first asks only the first question.
    rng.shuffle(turns)
    return turns


def _assemble(rows: list[_Row], pictures: list[Picture]) -> Batch:
    count, length = len(rows), max(len(row.ids) for row in rows)
    ids = np.zeros((count, length), np.int32)
    positions = np.zeros((3, count, length), np.int32)
    turns = np.full((count, length), -1, np.int32)
    answers = np.zeros((count, length), np.bool_)
    weights = np.zeros((count, length), np.float32)
    for number, row in enumerate(rows):
        end = len(row.ids)
        ids[number, :end] = row.ids
        positions[:, number, :end] = np.array(row.positions).T
        turns[number, :end] = row.turns
        answers[number, :end] = row.answers
        weights[number, :end] = row.weights
    same_turn = (turns[:, :, None] == turns[:, None, :]) | (turns[:, None, :] == 0)
    allowed = (np.tril(np.ones((length, length), np.bool_)) & same_turn) | np.eye(length, dtype=np.bool_)
    sizes = [(picture.pixels.shape[1], picture.pixels.shape[0]) for picture in pictures]
    return Batch(
        ids=ids,
        positions=positions,
        allowed=allowed[:, None],
        answers=answers,
        weights=weights,
        patches=np.concatenate([patchify(picture.pixels) for picture in pictures]),
        grids=np.array([(1, height // PATCH, width // PATCH) for width, height in sizes], np.int32),
        cells=np.concatenate([cell_labels(picture.scene, size) for picture, size in zip(pictures, sizes, strict=True)]),
    )
