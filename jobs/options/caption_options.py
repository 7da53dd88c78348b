"""All options of a caption run that do not depend on the front end."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from jobs.options.adapter import AdapterOptions
from jobs.options.answers.answer import AnswerOptions
from jobs.options.answers.length import LengthOptions
from jobs.options.delivery import DeliveryOptions
from jobs.options.inputs import InputOptions
from jobs.options.pixels import PixelOptions
from jobs.options.prompts.presets import BUILT_IN, DEFAULT_PRESET, DEMO_PROMPTS, KEYWORDS_PRESET, Preset, find_preset
from jobs.options.prompts.prompt import PromptOptions
from jobs.options.prompts.weighted_prompts import WeightedPrompt
from jobs.options.reuse import ReuseOptions
from jobs.options.sampling import SamplingOptions
from jobs.options.selection import SelectionOptions
from jobs.options.turn import TurnOptions
from jobs.sampling import Sampling


class QuestionOptions(
    ReuseOptions, SamplingOptions, AdapterOptions, PixelOptions, InputOptions, AnswerOptions, PromptOptions, TurnOptions
):
    """Options of the question about each image."""

    @cached_property
    def chosen_preset(self) -> Preset | None:
        """The preset that gives the prompt; None: the user wrote one."""
        if self.prompt is not None or self.prompts:
            return None
        return find_preset(self.preset or (KEYWORDS_PRESET if self.vocabulary else DEFAULT_PRESET))

    @property
    def limits(self) -> dict[str, int | None]:
        """The options of the answer's length: those that the user set, then the preset's."""
        return {name: self._or_of_preset(name) for name in LengthOptions.model_fields}

    @property
    def removes_openers(self) -> bool:
        """Whether openers are removed from the answers, if the run's own option does not say so."""
        return bool(self.chosen_preset is not None and self.chosen_preset.strip_openers)

    @property
    def instructions(self) -> str:
        """The sentences that end each prompt, with a space ahead of each."""
        language = "" if self.language is None else f" Answer in {self.language}."
        units = {"max_words": "words", "max_characters": "characters"}
        limits = [f" Use at most {most} {units[name]}." for name, most in self.limits.items() if most is not None]
        return language + "".join(limits)

    def wordings(self, *, demo: bool = False) -> tuple[WeightedPrompt, ...]:
        """Return the prompts, of which each image gets one. `demo`: for the built-in model, without instructions."""
        preset = self.chosen_preset
        one = self.prompt if preset is None else preset.prompt
        if demo and preset is not None and preset == BUILT_IN.get(name := self.preset or DEFAULT_PRESET):
            one = DEMO_PROMPTS.get(name, one)
        prompts = self.prompts or (WeightedPrompt(prompt=one or ""),)
        if demo:
            return tuple(prompts)
        return tuple(WeightedPrompt(prompt=each.prompt + self.instructions, weight=each.weight) for each in prompts)

    @property
    def sampling(self) -> Sampling:
        """The sampling of each request: options that the user set, then the preset's."""
        names = set(SamplingOptions.model_fields)
        of_preset = (
            {} if self.chosen_preset is None else self.chosen_preset.model_dump(exclude_unset=True, include=names)
        )
        set_here = self.model_dump(include=self.model_fields_set & names)
        return Sampling(**{**of_preset, **set_here})

    def _or_of_preset(self, name: str) -> Any:
        """Return the value of an option that presets may bring."""
        source = self if name in self.model_fields_set or self.chosen_preset is None else self.chosen_preset
        return getattr(source, name)

    @model_validator(mode="after")
    def _check_near_duplicates(self) -> Self:
        if self.near_duplicates and not (self.cache and (self.temperature == 0 or self.seed is not None)):
            raise PydanticCustomError(
                "invalid_request_error",
                "near_duplicates goes with the cache and with repeatable answers: a temperature of 0, or a seed.",
            )
        return self


class CaptionOptions(QuestionOptions, DeliveryOptions, SelectionOptions):
    """Options of a run over images that lie in folders. An upload takes only the `QuestionOptions`."""
