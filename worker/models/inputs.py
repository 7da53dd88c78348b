"""A request as the model takes it: prepared in plain arrays, then embedded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.requests import Sampling
from jobs.response_format import ResponseFormat


@dataclass(frozen=True)
class Prepared:
    """A request that is ready for the model, in plain arrays: no mlx array crosses a thread."""

    #: The prompt after the expansion of its images.
    ids: list[int]
    #: How many of the ids stand for images.
    image_tokens: int
    #: With `max_tokens` no larger than what the context leaves.
    sampling: Sampling
    #: What the processor made of the images, by name: pixels, grids, masks.
    inputs: dict[str, Any] = field(default_factory=dict, repr=False)
    #: A key for each image (or one for all of them), equal for equal pixels.
    image_keys: tuple[bytes, ...] = ()
    response_format: ResponseFormat | None = None
    #: The processor's ids, where the model's images turned out to take more columns or fewer than those; None: `ids` are.
    processor_ids: list[int] | None = field(default=None, repr=False)

    @property
    def source_ids(self) -> list[int]:
        """The ids that the model's embedding takes."""
        return self.ids if self.processor_ids is None else self.processor_ids


@dataclass(frozen=True)
class Embedded:
    """A prompt as the language model takes it: L tokens of a model of width D."""

    ids: list[int]
    #: (1, L, D); None: the language model looks its ids up by itself.
    embeds: Any = None
    #: What has an entry for each token, by name: (1, L, …), or (3, 1, L) for the positions of time, height and width.
    per_token: dict[str, Any] = field(default_factory=dict)
    #: (1, 1): by how much the positions of the answer are ahead of the number of tokens; None: they are not.
    rope_delta: Any = None
    #: For each layer that gets the image features anew, (image tokens, D); None: there is no such layer, or no image.
    deepstack: list[Any] | None = None
    #: (L,): where the tokens of `deepstack` are.
    image_mask: npt.NDArray[np.bool_] | None = None
    #: What else the language model wants. A row that has any of it is prefilled by itself.
    rest: dict[str, Any] = field(default_factory=dict)
    #: What is said of the images themselves: handed on as mlx-vlm does, but not for several rows, where it would be cut wrongly.
    about_images: dict[str, Any] = field(default_factory=dict)
    has_images: bool = False
    #: How many leading tokens depend on nothing but their ids: none of them is an image's, nor the prompt's last.
    text_prefix: int = 0
    #: Whether the prompt has to be prefilled in one go: some families look at all of it at once.
    whole: bool = False
    #: The prompt's ids, where its images take more columns or fewer than the processor gave them ids; None: those are right.
    filled: list[int] | None = None
    #: Positions that the language model keeps of the prompt it embedded last, by attribute: they are put back before each use.
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def shareable(self) -> bool:
        """Whether other rows may be prefilled with it."""
        return not self.rest and not self.whole

    @property
    def kind(self) -> tuple[Any, ...]:
        """Rows of one prefill must have this in common: the inputs that have an entry for each token, and their axes."""
        inputs = frozenset((name, value.ndim) for name, value in self.per_token.items())
        return (self.embeds is None, self.rope_delta is None, inputs)
