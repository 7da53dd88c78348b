"""What a model's files say about it before it is loaded: licence, pixels, memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.models.memory_need import kv_bytes, sequences_that_fit
from jobs.models.model_card import licence_in
from jobs.models.pixel_limits import PixelLimits, pixel_limits


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\r\nlicense: 'mit'\r\n---\r\n", "mit"),
        ("---\nlicense: other\nlicense_name: gemma\n---\n", "gemma"),
        ("# No fields\nlicense: mit\n", None),
        ("---\nlicense:\n- mit\n- apache-2.0\n---\n", None),
        ("---\nlicense: <b>mit</b>\n---\n", None),
        ("---\nlicense: mit\n", None),
    ],
)
def test_the_licence_stands_in_the_head_of_the_card(tmp_path: Path, card: str, licence: str | None) -> None:
    """Only a plain value counts."""
    (tmp_path / "README.md").write_bytes(card.encode())
    assert licence_in(tmp_path) == licence
    assert licence_in(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("name", "config", "limits"),
    [
        ("preprocessor_config.json", {"min_pixels": 3136, "max_pixels": 12845056}, PixelLimits(3136, 12845056)),
        (
            "preprocessor_config.json",
            {"size": {"shortest_edge": 65536, "longest_edge": 16777216}},
            PixelLimits(65536, 16777216),
        ),
        ("preprocessor_config.json", {"size": {"height": 384, "width": 384}}, PixelLimits(147456, 147456)),
        ("preprocessor_config.json", {"size": {"longest_edge": 1536}}, PixelLimits()),
        (
            "processor_config.json",
            {"image_processor": {"size": {"height": 896, "width": 896}}},
            PixelLimits(802816, 802816),
        ),
        ("preprocessor_config.json", ["a list"], PixelLimits()),
        ("other.json", {}, PixelLimits()),
    ],
)
def test_the_pixels_are_those_of_the_processor(tmp_path: Path, name: str, config: object, limits: PixelLimits) -> None:
    """An edge in pixels is no area."""
    (tmp_path / name).write_text(json.dumps(config))
    assert pixel_limits(tmp_path) == limits


def test_the_memory_of_a_token_follows_from_the_layers() -> None:
    """Qwen3-VL-4B: 36 layers, 8 heads of keys of 128 numbers, half precision; without `head_dim` the width is divided."""
    text = {"num_hidden_layers": 36, "num_key_value_heads": 8, "head_dim": 128, "num_attention_heads": 32}
    assert kv_bytes({"text_config": text}) == 147_456
    assert kv_bytes({"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}) == 2 * 2 * 4 * 16 * 2
    assert kv_bytes({"num_hidden_layers": 2, "num_attention_heads": 0, "hidden_size": 64}) is None
    assert kv_bytes({}) is None


def test_half_of_the_free_memory_holds_sequences() -> None:
    """A model that is larger than the memory has room for none."""
    assert sequences_that_fit(10_000_000, 1000, 10_000_000 + 2 * 3 * 1280 * 1000) == 3
    assert sequences_that_fit(10, 1, 9) == 0
