"""All options of a caption run that do not depend on the front end."""

from __future__ import annotations

from jobs.options.delivery import DeliveryOptions
from jobs.options.prompt import PromptOptions
from jobs.options.reuse import ReuseOptions
from jobs.options.sampling import SamplingOptions
from jobs.options.selection import SelectionOptions


class QuestionOptions(ReuseOptions, SamplingOptions, PromptOptions):
    """Options of the question about each image."""


class CaptionOptions(QuestionOptions, DeliveryOptions, SelectionOptions):
    """Options of a run over images that lie in folders. An upload takes only the `QuestionOptions`."""
