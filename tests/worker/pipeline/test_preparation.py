"""Preparation of requests: the pixels that reach the model."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from jobs.configuration.settings import Settings
from jobs.requests import Request
from jobs.sampling import Sampling
from worker.models.inputs import Prepared
from worker.pipeline.preparation import PreparationPool


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (100, 100)),
        ({"max_pixels": 1600}, (40, 40)),
        ({"max_pixels": 40_000}, (200, 200)),
        ({"max_pixels": 1_000_000, "detail": "low"}, (512, 512)),
    ],
)
@pytest.mark.parametrize("beside", [False, True], ids=["here", "in the decoder process"])
def test_a_request_sets_the_pixels_of_its_images(
    settings: Settings, tmp_path: Path, fields: dict[str, object], size: tuple[int, int], beside: bool
) -> None:
    """Its limit replaces that of the settings, wherever the image is decoded."""
    Image.new("RGB", (1000, 1000)).save(tmp_path / "a.png")
    limits = {"max_pixels": 10_000, **({"decode_memory": 15_000_000} if beside else {})}
    sizes: list[tuple[int, int]] = []

    def prepare(_request: Request, images: list[Image.Image]) -> Prepared:
        sizes.extend(image.size for image in images)
        return Prepared([1], 0, Sampling())

    pool = PreparationPool(settings.model_copy(update=limits), prepare)
    request = Request.about_image(tmp_path / "a.png", model="demo", prompt="?", sampling=Sampling(), **fields)  # type: ignore[arg-type]
    pool.begin("a", request, urgent=False, followed=False, roots=None)
    while not (done := pool.done()):
        pool.wait()
    done[0].future.result()
    pool.close()
    assert sizes == [size]
