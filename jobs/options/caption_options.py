"""All options of a caption run that do not depend on the front end."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from jobs.options.delivery import DeliveryOptions
from jobs.options.inputs import InputOptions
from jobs.options.prompt import PromptOptions
from jobs.options.reuse import ReuseOptions
from jobs.options.sampling import SamplingOptions
from jobs.options.selection import SelectionOptions


class QuestionOptions(ReuseOptions, SamplingOptions, InputOptions, PromptOptions):
    """Options of the question about each image."""

    @model_validator(mode="after")
    def _check_reuse(self) -> Self:
        if self.near_duplicates and not (self.cache and (self.temperature == 0 or self.seed is not None)):
            raise PydanticCustomError(
                "invalid_request_error",
                "near_duplicates goes with the cache and with repeatable answers: a temperature of 0, or a seed.",
            )
        return self


class CaptionOptions(QuestionOptions, DeliveryOptions, SelectionOptions):
    """Options of a run over images that lie in folders. An upload takes only the `QuestionOptions`."""
