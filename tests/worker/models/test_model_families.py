"""The most used families of vision models: how each is batched, and eight of its answers against mlx-vlm's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from tools.families.catalogue import FAMILIES
from tools.families.measuring import Measured, measure
from tools.families.model import save

#: Warnings of transformers about arguments that mlx-vlm passes, and about the audio filters of Gemma 4.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use_fast.*"),
    pytest.mark.filterwarnings("ignore:At least one mel filter"),
]

#: Families whose sequences are prefilled together. The batches and the verdicts of most are also held by `test_families.py` and
#: `test_batching_check.py`, so the gate measures one of them and one that only this file has. `make families` measures the rest.
KINDS = ("qwen3_vl", "mistral3")
RELATIVES = (
    "gemma3",
    "smolvlm",
    "llava_next",
    "fastvlm",
    "glm4v",
    "qwen2_5_vl",
    "gemma4",
    "llava",
    "llava-joycaption",
    "llava-qwen2",
    "llava_onevision",
    "glm4v_moe",
    "glm_ocr",
    "paddleocr_vl",
    "internvl_chat",
    "pixtral",
)
#: Families whose caches cannot be padded. The other two files have LFM2.
ONE_BY_ONE = ("qwen3_5", pytest.param("lfm2_vl", marks=pytest.mark.thorough))


def measured(name: str, folder: Path) -> Measured:
    settings = Settings(data_dir=folder / "data")
    settings.make_folders()
    return measure(FAMILIES[name], save(FAMILIES[name], folder / name), settings)


#: Their files have no chat template. The refusal does not depend on the family.
REFUSED = ("paligemma", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("florence2", "moondream3")))


@pytest.mark.parametrize("name", [*KINDS, *(pytest.param(name, marks=pytest.mark.thorough) for name in RELATIVES)])
def test_a_family_that_is_batched_answers_as_mlx_vlm_does(name: str, tmp_path: Path) -> None:
    """Texts, one picture and two are prepared in another thread, and some arrive while others decode."""
    assert measured(name, tmp_path) == Measured(loads=True, batching="together", right=8)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_a_family_whose_prompts_go_in_one_by_one_answers_as_mlx_vlm_does(name: str, tmp_path: Path) -> None:
    """The same holds for models whose caches know no padding."""
    assert measured(name, tmp_path) == Measured(loads=True, batching="one by one", right=8)


def test_llama_3_2_vision_looks_at_its_image_in_every_step(tmp_path: Path) -> None:
    """Its cross-attention needs the image's features while it decodes, and no prefix of its empty caches can be kept."""
    assert measured("mllama", tmp_path) == Measured(loads=True, batching="alone", right=8)


@pytest.mark.parametrize("name", REFUSED)
def test_a_family_without_a_chat_template_is_refused_by_name_of_another(name: str, tmp_path: Path) -> None:
    """The loader refuses a model that takes task words, and says which models take questions."""
    refused = measured(name, tmp_path)
    assert not refused.loads
    assert "has no chat template" in refused.note
    assert "Qwen3-VL" in refused.note


@pytest.mark.thorough
def test_a_family_whose_image_processor_cannot_run_does_not_answer_without_the_picture(tmp_path: Path) -> None:
    """mlx-vlm falls back to the tokenizer, which drops the pictures without a word."""
    row = measured("phi4_siglip", tmp_path)
    assert (row.right, row.wrong, row.refused) == (2, 0, 6)
    assert "has no image processor that works here" in row.note
