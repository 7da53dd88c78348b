"""Draw the pictures of `examples/`: a dozen scenes in several sizes and formats, and the right caption of each.

python -m tools.demo_model.make_examples examples
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import pillow_heif
from PIL import Image

from tools.demo_model import texts
from tools.demo_model.scenes import make_scene, render

#: File → (width, height) after its orientation is applied.
EXAMPLES = {
    "scene-01.jpg": (640, 480),
    "scene-02.png": (256, 256),
    "scene-03.webp": (320, 180),
    "scene-04.gif": (128, 128),
    "scene-05.tiff": (200, 300),
    "scene-06.bmp": (128, 128),
    "scene-07.heic": (480, 320),
    "scene-08.avif": (300, 200),
    "turned/scene-09.jpg": (240, 320),
    "turned/scene-10.jpg": (320, 240),
    "more/scene-11.png": (512, 512),
    "more/scene-12.jpeg": (320, 240),
}
#: EXIF orientations of the pictures that are stored turned, and the turn that undoes them.
TURNED = {
    "turned/scene-09.jpg": (6, Image.Transpose.ROTATE_90),
    "turned/scene-10.jpg": (3, Image.Transpose.ROTATE_180),
}
ORIENTATION_TAG = 0x0112


def main() -> None:
    """Parse the arguments and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    pillow_heif.register_heif_opener()
    rng = random.Random(arguments.seed)
    captions = {}
    for name, size in EXAMPLES.items():
        scene = make_scene(rng, size[0] / size[1])
        path = arguments.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save(render(scene, size, rng), path, name)
        captions[name] = texts.caption(scene)
    (arguments.folder / "expected.json").write_text(json.dumps(captions, indent=1) + "\n")


def save(image: Image.Image, path: Path, name: str) -> None:
    """Save in the format of the file's ending. Pictures in TURNED are stored turned, with their orientation tag."""
    if name in TURNED:
        orientation, turn = TURNED[name]
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        image.transpose(turn).save(path, exif=exif, quality=90)
    else:
        image.save(path, quality=90)


if __name__ == "__main__":
    main()
