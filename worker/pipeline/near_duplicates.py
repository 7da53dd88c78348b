"""Images that look the same: saved again, scaled, or taken a moment later. Their first one is asked about."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from jobs.requests import Request
from worker.models.inputs import Look, Prepared
from worker.pipeline.answer_cache import question_key

#: Cells a side of the small picture that is compared.
_CELLS = 8
#: Bits of the 64 of the perceptual hash in which images that look the same may differ.
_MOST_BITS = 16
#: Most levels of 255 by which a cell of them may differ in a colour: the hash knows no colours.
_MOST_LEVELS = 32
#: Images that are remembered for a question, and questions. The oldest are forgotten.
_MOST_IMAGES = 100_000
_MOST_QUESTIONS = 8


def look_of(image: Image.Image) -> Look:
    """Return the look of an RGB image."""
    grey = image.convert("L").resize((_CELLS + 1, _CELLS), Image.Resampling.BOX)
    levels = np.asarray(grey, dtype=np.int16)
    bits = np.packbits(levels[:, :-1] < levels[:, 1:])
    colours = image.resize((_CELLS, _CELLS), Image.Resampling.BOX)
    return Look(int.from_bytes(bits.tobytes()), colours.tobytes())


@dataclass
class _Looks:
    """The looks of the images of one question, and the keys of their answers."""

    bits: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(1024, np.uint64))
    colours: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((1024, 3 * _CELLS**2), np.uint8))
    keys: list[str] = field(default_factory=list)

    def find(self, look: Look) -> str | None:
        count = len(self.keys)
        apart = np.bitwise_count(self.bits[:count] ^ np.uint64(look.bits))
        alike = np.flatnonzero(apart <= _MOST_BITS)
        here = np.frombuffer(look.colours, np.uint8).astype(np.int16)
        levels = np.abs(self.colours[alike] - here).max(axis=1, initial=0)
        same = alike[levels <= _MOST_LEVELS]
        return self.keys[same[0]] if same.size else None

    def add(self, look: Look, key: str) -> None:
        place = len(self.keys)
        if place == len(self.bits):
            self.bits = np.concatenate([self.bits, np.zeros_like(self.bits)])
            self.colours = np.concatenate([self.colours, np.zeros_like(self.colours)])
        self.bits[place] = look.bits
        self.colours[place] = np.frombuffer(look.colours, np.uint8)
        self.keys.append(key)


class NearDuplicates:
    """The images that this worker was asked about with `near_duplicates`, by question."""

    def __init__(self) -> None:
        self._by_question: OrderedDict[str, _Looks] = OrderedDict()

    def canonical(self, prepared: Prepared) -> str | None:
        """Return the key in the result cache of the first image that looks the same; if there is none, the request's own key."""
        if prepared.cache_key is None or prepared.look is None:
            return prepared.cache_key
        question, look = prepared.look
        looks = self._by_question.setdefault(question, _Looks())
        self._by_question.move_to_end(question)
        if len(self._by_question) > _MOST_QUESTIONS:
            self._by_question.popitem(last=False)
        if (first := looks.find(look)) is not None:
            return first
        if len(looks.keys) >= _MOST_IMAGES:
            self._by_question[question] = looks = _Looks()
        looks.add(look, prepared.cache_key)
        return prepared.cache_key


def look_for(request: Request, images: list[Image.Image], model: str) -> tuple[str, Look] | None:
    """Return the question's key and the look of the request's image; None: they are not wanted, or there are more images.

    `model`: as in `cache_key`.
    """
    if not request.near_duplicates or len(images) != 1:
        return None
    return question_key(model, request), look_of(images[0])
