"""Pictures with known right captions, for every test that expects one."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tools.demo_model import texts
from tools.demo_model.scenes import SIZES, Scene, make_scene, render

__all__ = ["SIZES", "Drawn", "draw", "draw_many", "save_scenes"]

#: The demo model captions the pictures of all seeds below this one rightly, in the sizes of `draw_many`.
KNOWN = 240


@dataclass(frozen=True)
class Drawn:
    """A picture, and what is in it."""

    image: Image.Image
    scene: Scene

    @property
    def caption(self) -> str:
        return texts.caption(self.scene)

    def question(self, seed: int = 0) -> tuple[str, str]:
        """A question about the picture, and its answer."""
        return texts.question(self.scene, random.Random(seed))


def draw(seed: int, size: tuple[int, int] | None = None) -> Drawn:
    """The picture of this seed; the same at every call."""
    rng = random.Random(seed)
    size = size or rng.choice(SIZES)
    scene = make_scene(rng, size[0] / size[1])
    return Drawn(render(scene, size, rng), scene)


def draw_many(count: int) -> list[Drawn]:
    """Pictures of all sizes in turn, of which the demo model is known to give the right captions."""
    assert count <= KNOWN
    return [draw(seed, SIZES[seed % len(SIZES)]) for seed in range(count)]


def save_scenes(folder: Path, count: int, suffix: str = ".png") -> dict[Path, str]:
    """Write pictures into the folder; returns the right caption of each file."""
    folder.mkdir(parents=True, exist_ok=True)
    captions = {}
    for number, drawn in enumerate(draw_many(count)):
        path = folder / f"scene-{number:03}{suffix}"
        drawn.image.save(path)
        captions[path] = drawn.caption
    return captions
