"""Catalogue of the families that can be built here, and of those that were not tried."""

from __future__ import annotations

from tools.families import (
    deepseek,
    documents,
    florence,
    gemma,
    glm,
    granite,
    internvl,
    llama4,
    llava,
    microsoft,
    minicpm,
    mistral,
    molmo,
    moondream,
    others,
    qwen,
    smolvlm,
)
from tools.families.model import Family

FAMILIES: dict[str, Family] = {
    **qwen.FAMILIES,
    **florence.FAMILIES,
    **gemma.FAMILIES,
    **smolvlm.FAMILIES,
    **llava.FAMILIES,
    **granite.FAMILIES,
    **internvl.FAMILIES,
    **mistral.FAMILIES,
    **glm.FAMILIES,
    **deepseek.FAMILIES,
    **documents.FAMILIES,
    **llama4.FAMILIES,
    **microsoft.FAMILIES,
    **minicpm.FAMILIES,
    **molmo.FAMILIES,
    **moondream.FAMILIES,
    **others.FAMILIES,
}

_NOT_BUILT = "no tiny model was built yet"
#: Vision families of mlx-vlm that are not measured, and the reason.
NOT_TRIED = {
    "hunyuan_vl": "its processor names token ids far beyond the tiny tokenizer's",
    "phi3_v": "mlx-vlm's own loop takes over a minute for one picture on a CPU",
    "deepseekocr_2": "its encoder has a fixed size, and takes over three minutes for eight requests on a CPU",
    "deepseek_vl_v2": "on a CPU mlx-vlm's own answers about one picture change from run to run: nothing to compare with",
    "gemma3n": "its tower is a constant of mlx-vlm, and too large for a CPU",
    **dict.fromkeys(
        (
            "cohere_compass",
            "ernie4_5_moe_vl",
            "falcon_ocr",
            "glm5_next",
            "granite4_vision",
            "jina_vlm",
            "kimi_k25",
            "llmjpvl",
            "locateanything",
            "mage_vl",
            "mimo_v2",
            "minimax_m3_vl",
            "mistral_large3",
            "molmo_point",
            "multi_modality",
            "muse_glimmer",
            "muse_spark",
            "nemotron_h_nano_omni",
            "phi4mm",
            "plamo2vl",
            "qwen3_omni_moe",
            "qwen4_exp",
            "step3p7",
            "unlimited_ocr",
            "youtu_vl",
            "zaya1_vl",
        ),
        _NOT_BUILT,
    ),
}
