"""The options that a job needs when it has its answer: whether it is good enough, which text it becomes, and in which files."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from jobs.options.answers.quality import QualityOptions
from jobs.options.composition import CompositionOptions
from jobs.options.outputs import KEYWORD_PRESETS, OutputOptions


class DeliveryOptions(QualityOptions, OutputOptions, CompositionOptions):
    """The part of a run's options that is stored with each job."""

    @model_validator(mode="after")
    def _check_outputs(self) -> Self:
        if self.joins and not self.writes_text:
            raise PydanticCustomError("invalid_request_error", "append and prepend need txt among the outputs.")
        return self

    @classmethod
    def of(cls, options: CompositionOptions | None) -> Self:
        """Take the delivery's part of a run's options; None: the defaults."""
        if options is None:
            return cls()
        values = {name: getattr(options, name) for name in cls.model_fields if hasattr(options, name)}
        made = cls(**values)
        if made.writes_metadata and getattr(options, "preset", None) in KEYWORD_PRESETS:
            return made.model_copy(update={"keywords": True})
        return made

    @property
    def stored(self) -> str | None:
        """JSON of the options that differ from the defaults; None: none does.

        Whether a text that is there is skipped or replaced was decided when the job was queued. Whether a description of other
        programs is replaced is decided when the metadata is written.
        """
        decided = set[str]() if self.joins else {"separator"}
        if not (self.joins or self.writes_metadata):
            decided |= {"force", "existing"}
        text = self.model_dump_json(exclude_defaults=True, exclude=decided)
        return None if text == "{}" else text
