"""Pictures with known captions."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tools.demo_model import texts
from tools.demo_model.scenes import SIZES, Scene, make_scene, render

__all__ = ["SIZES", "Drawn", "draw", "draw_many", "save_scenes"]

#: The demo model captions the pictures of all seeds below this number correctly, in the sizes of `draw_many`.
KNOWN = 240


@dataclass(frozen=True)
class Drawn:
    """A picture and the scene that it shows."""

    image: Image.Image
    scene: Scene

    @property
    def caption(self) -> str:
        return texts.caption(self.scene)

    def question(self, seed: int = 0) -> tuple[str, str]:
        """Return a question about the picture, and its answer."""
        return texts.question(self.scene, random.Random(seed))


def draw(seed: int, size: tuple[int, int] | None = None) -> Drawn:
    """Draw the picture of this seed: the same at every call."""
    rng = random.Random(seed)
    size = size or rng.choice(SIZES)
    scene = make_scene(rng, size[0] / size[1])
    return Drawn(render(scene, size, rng), scene)


def draw_many(count: int) -> list[Drawn]:
    """Draw pictures of all sizes in turn, all of which the demo model captions correctly."""
    assert count <= KNOWN
    return [draw(seed, SIZES[seed % len(SIZES)]) for seed in range(count)]


def save_scenes(folder: Path, count: int, suffix: str = ".png") -> dict[Path, str]:
    """Write pictures into the folder; return the correct caption of each file."""
    folder.mkdir(parents=True, exist_ok=True)
    captions = {}
    for number, drawn in enumerate(draw_many(count)):
        path = folder / f"scene-{number:03}{suffix}"
        drawn.image.save(path)
        captions[path] = drawn.caption
    return captions
