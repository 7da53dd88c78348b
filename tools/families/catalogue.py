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
