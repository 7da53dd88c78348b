"""All families that can be built here, and those that were not tried."""

from __future__ import annotations

from tools.families import documents, gemma, glm, internvl, llava, mistral, others, qwen, smolvlm
from tools.families.model import Family

FAMILIES: dict[str, Family] = {
    **qwen.FAMILIES,
    **gemma.FAMILIES,
    **smolvlm.FAMILIES,
    **llava.FAMILIES,
    **internvl.FAMILIES,
    **mistral.FAMILIES,
    **glm.FAMILIES,
    **documents.FAMILIES,
    **others.FAMILIES,
}

_NOT_BUILT = "no tiny model was built yet"
#: Families of mlx-vlm that see and can chat, and why they are not measured.
NOT_TRIED = {
    "hunyuan_vl": "its processor names token ids far beyond the tiny tokenizer's",
    "phi3_v": "its code takes over a minute for one picture on a CPU",
    "gemma3n": "its tower is a constant of mlx-vlm, and too large for a CPU",
    "florence2": "its files have no chat template: captionq refuses it, and names another model",
    "moondream2": "its tokenizer lies in another repository",
    "moondream3": "its tokenizer lies in another repository",
    **dict.fromkeys(
        (
            "cohere_compass",
            "deepseek_vl_v2",
            "deepseekocr_2",
            "ernie4_5_moe_vl",
            "falcon_ocr",
            "glm5_next",
            "granite_vision",
            "granite4_vision",
            "jina_vlm",
            "kimi_k25",
            "llama4",
            "llmjpvl",
            "locateanything",
            "mage_vl",
            "mimo_v2",
            "minicpmv4_6",
            "minicpmv4_7",
            "minimax_m3_vl",
            "mistral_large3",
            "molmo2",
            "molmo_point",
            "multi_modality",
            "muse_glimmer",
            "muse_spark",
            "nemotron_h_nano_omni",
            "phi4_siglip",
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
