"""The built-in models and the example pictures agree with the model card."""

from __future__ import annotations

import json
import random
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

from jobs.configuration.settings import Settings
from jobs.models.model_info import built_in_models, describe
from tests.support.scenes import draw
from tests.worker.engine.test_engine import ask, run
from tools.demo_model.batches import draw_pictures, make_batch, patchify
from tools.demo_model.scenes import MODEL_SIZES
from tools.demo_model.tokenizer import SPECIAL, train_tokenizer
from worker.engine.engine import Engine
from worker.models.backends import VisionBackend
from worker.models.loader import load
from worker.pixels.decode import decode

EXAMPLES = Path("examples")


@pytest.fixture(scope="module")
def backend() -> VisionBackend:
    """Load the built-in vision model."""
    return VisionBackend(load("demo"))


@pytest.mark.parametrize(("name", "parameters", "megabytes"), [("demo", 1_191_360, 2.4), ("demo-text", 116_800, 0.24)])
def test_the_models_are_as_small_as_they_are_said_to_be(name: str, parameters: int, megabytes: float) -> None:
    """They are in half precision: two bytes a parameter."""
    path = built_in_models()[name] / "model.safetensors"
    weights = mx.load(str(path))
    assert isinstance(weights, dict)
    assert sum(value.size for value in weights.values()) == parameters
    assert path.stat().st_size / 1e6 == pytest.approx(megabytes, rel=0.02)


def test_what_they_are_is_known_before_they_are_loaded() -> None:
    """The config is enough."""
    assert (describe("demo").modality, describe("demo").context_length) == ("vision", 2048)
    assert (describe("demo-text").modality, describe("demo-text").context_length) == ("text", 2048)


def test_every_example_gets_its_right_caption(backend: VisionBackend, settings: Settings) -> None:
    """The worker's own decoding handles all formats, sizes and orientations."""
    expected = json.loads((EXAMPLES / "expected.json").read_text())
    assert len(expected) == 12
    images = {name: decode(EXAMPLES / name, settings) for name in expected}
    finished = run(
        Engine(backend), {name: backend.prepare(ask("Describe this image."), [images[name]]) for name in expected}
    )
    assert {name: row.answer.text for name, row in finished.items()} == expected


def test_a_seed_draws_the_same_scene_again() -> None:
    """Tests and figures rely on equal scenes."""
    first, again, other = draw(7), draw(7), draw(8)
    assert first.scene == again.scene
    assert np.array_equal(np.asarray(first.image), np.asarray(again.image))
    assert first.scene != other.scene


@pytest.mark.parametrize("size", MODEL_SIZES)
def test_training_sees_the_patches_that_the_image_processor_makes(
    backend: VisionBackend, size: tuple[int, int]
) -> None:
    """Numbers and order are the same: otherwise a trained model would see other pictures in use than in training."""
    image = draw(5, size).image
    prepared = backend.prepare(ask("Describe this image."), [image])
    assert np.allclose(patchify(np.asarray(image)), prepared.inputs["pixel_values"], atol=1e-5)


def test_training_places_tokens_where_the_model_does() -> None:
    """The positions of a sequence with one turn equal those that the model computes from the ids."""
    loaded = load("demo")
    rng = random.Random(3)
    tokenizer = Tokenizer.from_file(str(built_in_models()["demo"] / "tokenizer.json"))
    pictures = draw_pictures(30, rng)
    batch = make_batch(pictures, tokenizer, rng, rows=12, images_a_row=1)
    for row in range(12):
        ids = batch.ids[row]
        image = SPECIAL.index("<|image_pad|>")
        # The prefix and the first turn: up to the first end of an answer.
        ends = np.flatnonzero(batch.answers[row] & (ids == SPECIAL.index("<|im_end|>")))
        length = int(ends[0]) + 1
        assert (ids[:length] == image).sum() == batch.grids[row].prod() // 4
        grid = mx.array(batch.grids[row : row + 1])
        positions, _ = loaded.model.language_model.get_rope_index(mx.array(ids[None, :length]), grid)
        assert np.array_equal(np.array(positions)[:, 0], batch.positions[:, row, :length])


def test_the_tokenizer_can_be_made_again() -> None:
    """The tokenizer encodes any text in any language."""
    tokenizer = train_tokenizer(1)
    assert [tokenizer.token_to_id(token) for token in SPECIAL] == list(range(len(SPECIAL)))
    for text in ("A small red star.", "système 日本 🙂", '{"shapes": []}'):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_pictures_are_no_larger_than_a_repository_likes() -> None:
    """All dozen have less than a megabyte."""
    files = [path for path in EXAMPLES.rglob("*") if path.is_file() and path.suffix != ".txt"]
    assert sum(path.stat().st_size for path in files) < 1_000_000
    with Image.open(EXAMPLES / "turned" / "scene-09.jpg") as image:
        assert image.getexif()[0x0112] == 6
