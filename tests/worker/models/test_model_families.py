"""The most used families of vision models: how each is batched, and eight of its answers against mlx-vlm's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.settings import Settings
from tools.families.catalogue import FAMILIES
from tools.families.measuring import Measured, measure
from tools.families.model import save

#: Warnings of transformers about arguments that mlx-vlm passes, and about the audio filters of Gemma 4.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use_fast.*"),
    pytest.mark.filterwarnings("ignore:At least one mel filter"),
]

#: Families whose sequences are prefilled together. `make families` measures the others.
TOGETHER = (
    "qwen2_5_vl",
    "qwen3_vl",
    "gemma3",
    "gemma4",
    "smolvlm",
    "llava",
    "llava-joycaption",
    "llava_next",
    "llava-qwen2",
    "llava_onevision",
    "fastvlm",
    "glm4v",
    "glm4v_moe",
    "glm_ocr",
    "paddleocr_vl",
    "internvl_chat",
    "pixtral",
    "mistral3",
)
#: Families whose caches cannot be padded.
ONE_BY_ONE = ("qwen3_5", "lfm2_vl")


def measured(name: str, folder: Path) -> Measured:
    settings = Settings(data_dir=folder / "data")
    settings.make_folders()
    return measure(FAMILIES[name], save(FAMILIES[name], folder / name), settings)


@pytest.mark.parametrize("name", TOGETHER)
def test_a_family_that_is_batched_answers_as_mlx_vlm_does(name: str, tmp_path: Path) -> None:
    """Texts, one picture and two are prepared in another thread, and some arrive while others decode."""
    assert measured(name, tmp_path) == Measured(loads=True, batching="together", right=8)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_a_family_whose_prompts_go_in_one_by_one_answers_as_mlx_vlm_does(name: str, tmp_path: Path) -> None:
    """The same holds for models whose caches know no padding."""
    assert measured(name, tmp_path) == Measured(loads=True, batching="one by one", right=8)
