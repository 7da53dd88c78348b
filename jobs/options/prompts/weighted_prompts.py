"""Several prompts of one run, of which each image gets one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pydantic import Field

from jobs.answer_format.response_format import Part


class WeightedPrompt(Part):
    """A prompt, and how often it is chosen in comparison with the others."""

    prompt: str = Field(min_length=1)
    weight: float = Field(default=1, gt=0, le=1_000_000, allow_inf_nan=False)


def choose_prompt(prompts: Sequence[WeightedPrompt], image: str, seed: int) -> str:
    """Choose the prompt for the image at an address: always the same for the same prompts and seed, so that a run can resume."""
    digest = hashlib.sha256(f"{seed} {image}".encode(errors="surrogatepass")).digest()
    point = int.from_bytes(digest[:8]) / 2**64 * sum(one.weight for one in prompts)
    for one in prompts:
        point -= one.weight
        if point < 0:
            return one.prompt
    return prompts[-1].prompt
