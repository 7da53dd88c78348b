"""The inputs of a model for one request: prepared in plain arrays, then embedded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.answer_format.response_format import AnswerFormat
from jobs.sampling import Sampling
from worker.models.text.thoughts import ThoughtMarks
from worker.sampling.call_grammar import CallRules


@dataclass(frozen=True)
class Look:
    """The look of an image, by which near-duplicates are found."""

    #: A bit for each of 8×8 cells: whether it is darker than the cell to its right (the difference hash, dHash).
    bits: int
    #: Levels of red, green and blue, cell by cell: the hash knows no colours.
    colours: bytes


@dataclass(frozen=True)
class AnswerRules:
    """The form that an answer must or may have."""

    response_format: AnswerFormat | None = None
    #: The calls of functions that the answer may have; None: none.
    calls: CallRules | None = None
    #: The marks of the thought that the prompt ends in; None: the answer begins outside of a thought.
    thought: ThoughtMarks | None = None

    @property
    def begins_with_answer(self) -> bool:
        """Whether a grammar holds the answer from its first token, and so leaves no room for thoughts."""
        return self.response_format is not None or (self.calls is not None and self.calls.tools.required)


@dataclass(frozen=True)
class Prepared:
    """A request that is ready for the model, in plain arrays because no mlx array may cross threads."""

    #: The prompt's ids after the expansion of its images. Their number is the `prompt_tokens` of the usage.
    ids: list[int]
    #: Number of ids that stand for images.
    image_tokens: int
    #: The sampling, with `max_tokens` within the tokens that the prompt leaves of the context.
    sampling: Sampling
    #: Arrays that the processor made of the images, by name: pixels, grids, masks.
    inputs: dict[str, Any] = field(default_factory=dict, repr=False)
    #: A key for each image, or one key for all images, equal for equal pixels.
    image_keys: tuple[bytes, ...] = ()
    rules: AnswerRules = AnswerRules()
    #: Number of sampled answers.
    choices: int = 1
    #: The key in the result cache; None: the answer is not given again.
    cache_key: str | None = None
    #: The question without its image, and the image's look; None: near-duplicates of the image are not wanted.
    look: tuple[str, Look] | None = None
    #: The processor's ids, if the images turned out to take more or fewer columns than these; None: `ids` are the processor's.
    processor_ids: list[int] | None = field(default=None, repr=False)
    #: Flaw of an image, as the `quality` of a result; None: every image is whole.
    image_flaw: str | None = None

    @property
    def source_ids(self) -> list[int]:
        """The ids that the model's embedding takes, always the processor's."""
        return self.ids if self.processor_ids is None else self.processor_ids


@dataclass(frozen=True)
class Embedded:
    """A prompt of L tokens as a language model of width D takes it."""

    ids: list[int]
    #: Embeddings (1, L, D); None: the language model looks the ids up by itself.
    embeds: Any = None
    #: Inputs with an entry for each token, by name: (1, L, …), or (3, 1, L) for the positions of time, height and width.
    per_token: dict[str, Any] = field(default_factory=dict)
    #: Offset (1, 1) of the answer's positions from the number of tokens; None: there is none.
    rope_delta: Any = None
    #: Image features (image tokens, D) for each layer that gets them again; None: there is no such layer, or no image.
    deepstack: list[Any] | None = None
    #: Mask (L,) of the tokens of `deepstack`.
    image_mask: npt.NDArray[np.bool_] | None = None
    #: Other inputs of the language model. A sequence that has one is prefilled by itself.
    rest: dict[str, Any] = field(default_factory=dict)
    #: Inputs about the images themselves. A single sequence hands them on, as mlx-vlm does; in a group they would be cut wrongly.
    about_images: dict[str, Any] = field(default_factory=dict)
    has_images: bool = False
    #: Number of leading tokens that depend only on their ids: up to the first image, and without the prompt's last token.
    text_prefix: int = 0
    #: Whether the prompt has to be prefilled in one forward pass: some families look at all of it at once.
    whole: bool = False
    #: The prompt's ids by column, if its images take more or fewer columns than the processor's ids; None: they do not.
    filled: list[int] | None = None
    #: Positions of this prompt that the language model kept as attributes, by name. They are put back before each use.
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return len(self.ids)

    @property
    def shareable(self) -> bool:
        """Whether the sequence may be prefilled in a group."""
        return not self.rest and not self.whole

    @property
    def kind(self) -> tuple[Any, ...]:
        """The inputs for each token, and their axes: the sequences of one prefill group must have them in common."""
        inputs = frozenset((name, value.ndim) for name, value in self.per_token.items())
        return (self.embeds is None, self.rope_delta is None, inputs)
