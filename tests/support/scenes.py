"""Pictures with known captions."""

from __future__ import annotations

import io
import random
import shutil
from dataclasses import dataclass
from functools import cache, cached_property
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

    @cached_property
    def png(self) -> bytes:
        """The picture as a PNG file."""
        file = io.BytesIO()
        self.image.save(file, "PNG", compress_level=1)
        return file.getvalue()

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
    """Draw pictures of all sizes in turn, all of which the demo model captions correctly. They are drawn once in a process."""
    assert count <= KNOWN
    return [_known(seed) for seed in range(count)]


@cache
def _known(seed: int) -> Drawn:
    return draw(seed, SIZES[seed % len(SIZES)])


def save_scenes(folder: Path, count: int, suffix: str = ".png") -> dict[Path, str]:
    """Write pictures into the folder; return the correct caption of each file.

    Beyond `KNOWN` they come again, in files of their own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    captions = {}
    for number, drawn in enumerate(draw_many(min(count, KNOWN))):
        path = folder / f"scene-{number:03}{suffix}"
        if suffix == ".png":
            path.write_bytes(drawn.png)
        else:
            drawn.image.save(path)
        captions[path] = drawn.caption
    for number in range(KNOWN, count):
        image = folder / f"scene-{number % KNOWN:03}{suffix}"
        path = folder / f"copy-{number}{suffix}"
        shutil.copyfile(image, path)
        captions[path] = captions[image]
    return captions
