"""The scenes that the demo model knows: up to three coloured shapes on a plain ground.

A scene is drawn from a seed, and every right answer about it is known (`texts.py`). The model was trained on these
distributions, colours and jitter.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

COLORS = {
    "red": (220, 30, 35),
    "orange": (245, 135, 20),
    "yellow": (245, 225, 40),
    "green": (35, 150, 60),
    "blue": (35, 75, 215),
    "purple": (130, 45, 165),
    "pink": (250, 130, 190),
    "cyan": (40, 205, 220),
}
GROUNDS = {"white": (250, 250, 250), "black": (15, 15, 15), "gray": (128, 128, 128)}
SHAPES = ("circle", "square", "triangle", "star")

#: Common sizes (width, height) of pictures.
SIZES = (
    (256, 256),
    (320, 240),
    (240, 320),
    (300, 200),
    (200, 300),
    (320, 180),
    (512, 512),
    (640, 480),
    (128, 128),
    (480, 320),
)
#: Sizes to which the model's image processor scales them → the aspect ratio (width : height) of each in training.
MODEL_SIZES = {
    (64, 64): (1, 1),
    (80, 64): (4, 3),
    (64, 80): (3, 4),
    (96, 64): (3, 2),
    (64, 96): (2, 3),
    (96, 48): (16, 9),
}

#: How often a scene has 0, 1, 2 and 3 shapes.
_COUNT_WEIGHTS = (3, 30, 42, 25)
#: Greatest turn of a shape, in degrees to either side.
_TURN = {"circle": 0, "square": 14, "triangle": 22, "star": 36}
#: Corners of the polygons: (radius as a part of the shape's, degrees clockwise from the top).
_CORNERS = {
    "square": [(1.13, 45), (1.13, 135), (1.13, 225), (1.13, 315)],
    "triangle": [(1.1, 0), (1.1, 120), (1.1, 240)],
    "star": [(1.08 if corner % 2 == 0 else 0.44, 36 * corner) for corner in range(10)],
}
#: Pixels per side that are averaged into one.
_OVERSAMPLING = 3


@dataclass(frozen=True)
class Shape:
    """A shape on a canvas of height 1: its centre, radius and turn (degrees)."""

    color: str
    kind: str
    x: float
    y: float
    radius: float
    turn: float

    @property
    def name(self) -> str:
        return f"{self.color} {self.kind}"


@dataclass(frozen=True)
class Scene:
    """The contents of a picture. Shapes go from left to right in a row, from top to bottom in a column."""

    ground: str
    shapes: tuple[Shape, ...]
    #: `none`, `single`, `row` or `column`.
    layout: str
    #: `small` or `large`, for a single shape.
    size: str | None
    #: Width : height.
    aspect: float


def make_scene(rng: random.Random, aspect: float = 1.0) -> Scene:
    """Draw a scene of the training distribution."""
    count = rng.choices(range(4), _COUNT_WEIGHTS)[0]
    ground = rng.choice(list(GROUNDS))
    chosen: set[tuple[str, str]] = set()
    while len(chosen) < count:
        chosen.add((rng.choice(list(COLORS)), rng.choice(SHAPES)))
    names = sorted(chosen)
    rng.shuffle(names)
    layout, size = "none", None
    places: list[tuple[float, float, float]] = []
    if count == 1:
        layout, size = "single", rng.choice(["small", "large"])
        places = [_place_one(rng, aspect, size)]
    elif count > 1:
        layout = _layout(rng, aspect, count)
        places = _place_in_line(rng, aspect, count, horizontal=layout == "row")
    shapes = tuple(
        Shape(color, kind, x, y, radius, rng.uniform(-_TURN[kind], _TURN[kind]))
        for (color, kind), (x, y, radius) in zip(names, places, strict=True)
    )
    return Scene(ground, shapes, layout, size, aspect)


def _layout(rng: random.Random, aspect: float, count: int) -> str:
    """Choose a layout: rows are more likely in wide pictures, columns in tall ones."""
    likely = 0.7 if count == 2 else 0.85
    chance = likely if aspect > 1.2 else 1 - likely if aspect < 1 / 1.2 else 0.5
    return "row" if rng.random() < chance else "column"


def _place_one(rng: random.Random, aspect: float, size: str) -> tuple[float, float, float]:
    low, high = (0.30, 0.46) if size == "small" else (0.66, 0.92)
    radius = min(aspect, 1.0) / 2 * rng.uniform(low, high)
    return rng.uniform(radius, aspect - radius), rng.uniform(radius, 1 - radius), radius


def _place_in_line(
    rng: random.Random, aspect: float, count: int, *, horizontal: bool
) -> list[tuple[float, float, float]]:
    """Place each shape in its own cell along the line, and a little off the line."""
    length, breadth = (aspect, 1.0) if horizontal else (1.0, aspect)
    filling, off_line = ((0.6, 0.94), 0.16) if count == 2 else ((0.74, 0.97), 0.22)
    places = []
    for cell in range(count):
        radius = min(length / count, breadth) / 2 * rng.uniform(*filling)
        along = rng.uniform(length / count * cell + radius, length / count * (cell + 1) - radius)
        across = breadth / 2 + rng.uniform(-1, 1) * min(breadth / 2 - radius, off_line * breadth)
        places.append((along, across, radius) if horizontal else (across, along, radius))
    return places


def render(scene: Scene, size: tuple[int, int], rng: random.Random) -> Image.Image:
    """Draw the scene in RGB at (width, height) pixels, with jittered colours and some noise."""
    width, height = size
    canvas = Image.new(
        "RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING), _jittered(rng, GROUNDS[scene.ground], 10)
    )
    draw = ImageDraw.Draw(canvas)
    across, down = width * _OVERSAMPLING / scene.aspect, height * _OVERSAMPLING
    for shape in scene.shapes:
        fill = _jittered(rng, COLORS[shape.color], 14)
        x, y, radius = shape.x, shape.y, shape.radius
        if shape.kind == "circle":
            box = ((x - radius) * across, (y - radius) * down, (x + radius) * across, (y + radius) * down)
            draw.ellipse(box, fill=fill)
        else:
            draw.polygon([(px * across, py * down) for px, py in _outline(shape)], fill=fill)
    return _noisy(canvas.resize(size, Image.Resampling.BOX), rng)


def mirrored(scene: Scene, *, left_right: bool, top_bottom: bool) -> Scene:
    """Return the scene of the mirrored picture."""
    shapes = [
        replace(
            shape,
            x=scene.aspect - shape.x if left_right else shape.x,
            y=1 - shape.y if top_bottom else shape.y,
        )
        for shape in scene.shapes
    ]
    if (scene.layout == "row" and left_right) or (scene.layout == "column" and top_bottom):
        shapes.reverse()
    return replace(scene, shapes=tuple(shapes))


def _outline(shape: Shape) -> list[tuple[float, float]]:
    points = []
    for part, degrees in _CORNERS[shape.kind]:
        angle = math.radians(degrees + shape.turn)
        reach = part * shape.radius
        points.append((shape.x + reach * math.sin(angle), shape.y - reach * math.cos(angle)))
    return points


def _jittered(rng: random.Random, color: tuple[int, int, int], amount: float) -> tuple[int, int, int]:
    red, green, blue = (max(0, min(255, int(value + rng.uniform(-amount, amount)))) for value in color)
    return red, green, blue


def _noisy(image: Image.Image, rng: random.Random) -> Image.Image:
    deviation = rng.uniform(0, 5)
    values = np.asarray(image).astype(np.float32)
    values += np.random.default_rng(rng.getrandbits(32)).normal(0, deviation, values.shape).astype(np.float32)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))
