"""Templates with fields in braces: `{trigger}, {caption}`.

A text's template is strict: `{{` and `}}` are braces themselves, and every other brace belongs to a field. Prompts may hold JSON,
so only the names of fields are replaced there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

#: Fields that name the file: known without opening it.
FILE_FIELDS = frozenset({"name", "stem", "folder"})
#: Fields that the image's own metadata or its `.xmp` sidecar holds; empty where they hold none.
METADATA_FIELDS = frozenset({"date", "camera", "lens", "place", "title", "keywords", "people"})
#: Fields of a prompt. `caption` is the text that the image has already.
PROMPT_FIELDS = FILE_FIELDS | METADATA_FIELDS | {"caption"}
#: Fields of the text's template. `caption` is the new answer.
TEXT_FIELDS = FILE_FIELDS | METADATA_FIELDS | {"caption", "trigger"}

_IN_PROMPT = re.compile(r"\{(" + "|".join(sorted(PROMPT_FIELDS)) + r")\}")


def fields_of(template: str) -> set[str]:
    """Return the names of a template's fields. Raises ValueError for a brace that is not closed."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def check_template(template: str, allowed: frozenset[str]) -> None:
    """Check that a template has only fields of these names, without formats or attributes. Raises ValueError."""
    for _, name, spec, conversion in Formatter().parse(template):
        if name is None:
            continue
        if spec or conversion or name not in allowed:
            shown = "".join(part for part in (name, conversion and f"!{conversion}", spec and f":{spec}") if part)
            fields = ", ".join(sorted(allowed))
            raise ValueError(f"{{{shown}}} is not a field. The fields are: {fields}; write {{{{ for a brace.")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put the values into a checked template. Values are not searched for fields."""
    return "".join(
        literal + ("" if name is None else values[name]) for literal, name, _, _ in Formatter().parse(template)
    )


def fill_known(template: str, values: Mapping[str, str]) -> str:
    """Put known values into a checked template. The result is a template of the other fields; braces in values are escaped."""
    return "".join(
        _escaped(literal) + ("" if name is None else _escaped(values[name]) if name in values else f"{{{name}}}")
        for literal, name, _, _ in Formatter().parse(template)
    )


def prompt_fields(prompt: str) -> set[str]:
    """Return the names of the fields in a prompt."""
    return set(_IN_PROMPT.findall(prompt))


def fill_prompt(prompt: str, values: Mapping[str, str]) -> str:
    """Put the values of its fields into a prompt. Values are not searched for fields."""
    return _IN_PROMPT.sub(lambda found: values[found[1]], prompt)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
