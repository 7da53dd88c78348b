"""Presets: prompts with a name, and the options that go with them. The user's own are in the configuration file."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from jobs.configuration.config_file import config_path, read_table
from jobs.configuration.setting_words import suggestion
from jobs.errors import InvalidRequestError, SettingsError
from jobs.options.answers.length import LengthOptions
from jobs.options.answers.openers import OpenerOptions
from jobs.options.sampling import SamplingOptions

DEFAULT_PRESET = "describe"
#: The preset for answers that are keywords of a vocabulary.
KEYWORDS_PRESET = "tags"


class Preset(LengthOptions, OpenerOptions, SamplingOptions):
    """A prompt with options. An option that is not set is the run's own."""

    prompt: str = Field(min_length=1, description="Prompt for each image.")

    @property
    def options(self) -> dict[str, Any]:
        """The options that the preset sets."""
        return self.model_dump(include=self.model_fields_set - {"prompt"})


_SUBJECT_FIRST = 'Begin with the subject itself, not with words such as "The image shows".'
_PLAIN = "Write plain text without headings, lists or quotation marks."

BUILT_IN = {
    "describe": Preset(prompt=f"Describe this image. {_SUBJECT_FIRST}", strip_openers=True),
    "short": Preset(prompt="Write a short caption. Answer with the caption only.", strip_openers=True),
    "detailed": Preset(prompt=f"Describe this image in detail. {_SUBJECT_FIRST}", max_tokens=512, strip_openers=True),
    "alt-text": Preset(
        prompt=(
            "Write alt text for this image: one plain sentence that tells a reader who cannot see the image what it shows. "
            f"Begin with the subject itself. Answer with the alt text only. {_PLAIN}"
        ),
        max_tokens=64,
        max_characters=125,
        strip_openers=True,
    ),
    "tags": Preset(prompt="List keywords for this image."),
    "booru": Preset(
        prompt=(
            "Write booru tags for this image: lower case, words of a tag joined by underscores, tags separated by commas, "
            "the most important first. Begin with the number of people (1girl, 2boys, no_humans), then their looks, clothes, "
            "poses and expressions, the setting, the view and the style. At most 40 tags, each once. Answer with the tags only."
        ),
        max_tokens=400,
    ),
    "product": Preset(
        prompt=(
            "Write a product description for an online shop from this image: two or three sentences on the kind of product, "
            "its material, colour, shape and visible features. State only visible facts: no price, no brand that cannot be "
            f"read, no advertising. Begin with the product itself. {_PLAIN}"
        ),
        strip_openers=True,
    ),
    "accessibility": Preset(
        prompt=(
            "Describe this image for a reader who is blind, in two to five sentences: first the subject and what happens, "
            "then people, surroundings and mood, and all legible text word for word. Begin with the subject itself, never "
            f'with words such as "The image shows". Do not guess names, feelings or facts that cannot be seen. {_PLAIN}'
        ),
        max_tokens=400,
        strip_openers=True,
    ),
    "ocr": Preset(
        prompt=(
            "Copy all text in this image, word for word, in reading order and in its own language. Keep the line breaks. "
            "Answer with the copied text only: no remarks, no translation, no code block. If there is no text, answer: "
            "no text"
        ),
        max_tokens=2048,
    ),
}

#: Prompts of presets in the wordings that the built-in demo model was trained with: it follows no instructions.
DEMO_PROMPTS = {
    "describe": "Describe this image.",
    "short": "Write a short caption.",
    "detailed": "Describe this image in detail.",
}


def all_presets() -> dict[str, Preset]:
    """Return the presets by name; those of the configuration file replace built-in ones. Raises SettingsError."""
    return {**BUILT_IN, **own_presets()}


def own_presets() -> dict[str, Preset]:
    """Read the presets of the configuration file. Raises SettingsError, which names the file, the preset and the key."""
    return {name: _own_preset(name, table) for name, table in read_table("presets").items()}


def find_preset(name: str) -> Preset:
    """Return a preset. Raises InvalidRequestError if there is none, SettingsError if the configuration file is wrong."""
    presets = all_presets()
    if name not in presets:
        close = suggestion(name, presets)
        raise InvalidRequestError(f"Unknown preset '{name}'{close}. Available: {', '.join(presets)}.")
    return presets[name]


def _own_preset(name: str, table: object) -> Preset:
    place = f"{config_path()}: presets.{name}"
    if not isinstance(table, dict):
        raise SettingsError(f"{place} must be a table with a prompt. Begin it with [presets.{name}].")
    for key in table:
        if key not in Preset.model_fields:
            raise SettingsError(f"{place}.{key} is not an option of a preset{suggestion(key, Preset.model_fields)}.")
    try:
        return Preset(**table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{place}.{key}: {first['msg'].removeprefix('Value error, ')}.") from error
