"""Images that are scaled before Qwen's processor sees them: the same pixels as without."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from mlx_vlm.models.qwen3_vl.processing_qwen3_vl import Qwen3VLImageProcessor
from PIL import Image

from worker.models.vision.scaled_ahead import scaled_ahead


def noise(width: int, height: int) -> Image.Image:
    """Return random pixels: any other way to scale them is seen."""
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


class OwnScaling(Qwen3VLImageProcessor):  # type: ignore[misc]  # mlx-vlm has no types
    """A processor that may scale in another way."""


@pytest.mark.parametrize("size", [(640, 480), (1000, 1500), (32, 32), (33, 3000), (9, 60), (512, 512)])
def test_the_processor_makes_the_same_of_an_image_scaled_ahead(size: tuple[int, int]) -> None:
    """Large, small, thin and fitting images have the same patches, bit by bit."""
    scaler, image = Qwen3VLImageProcessor(max_pixels=512 * 512), noise(*size)
    [ahead] = scaled_ahead(SimpleNamespace(image_processor=scaler), [image])
    wanted, found = scaler([image]), scaler([ahead])
    assert np.array_equal(wanted["image_grid_thw"], found["image_grid_thw"])
    assert np.array_equal(wanted["pixel_values"], found["pixel_values"])
    grid = wanted["image_grid_thw"][0] * scaler.patch_size
    assert ahead.size == (grid[2], grid[1])


def test_an_image_that_the_processor_refuses_reaches_it_as_it_is() -> None:
    """The processor's own words say what is wrong."""
    scaler, image = Qwen3VLImageProcessor(), noise(4, 1000)
    assert scaled_ahead(SimpleNamespace(image_processor=scaler), [image]) == [image]
    with pytest.raises(ValueError, match="aspect ratio"):
        scaler([image])


def test_other_processors_get_images_as_they_are() -> None:
    """Processors of other kinds, and kinds of Qwen's with a way of their own, scale by themselves."""
    image = noise(640, 480)
    for processor in (SimpleNamespace(), SimpleNamespace(image_processor=OwnScaling())):
        assert scaled_ahead(processor, [image]) == [image]
