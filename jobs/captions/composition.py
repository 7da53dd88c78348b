"""From an answer to the text of a file: prefix, suffix, trigger word, template, and the text that was there."""

from __future__ import annotations

from collections.abc import Mapping

from jobs.options.composition import CompositionOptions
from jobs.options.templates import fill


def composed(answer: str, options: CompositionOptions, values: Mapping[str, str]) -> str:
    """Make the new text from an answer.

    Args:
        answer: of the model.
        options: of the run.
        values: of the template's fields, by name; `caption` and `trigger` are added here.
    """
    text = answer.strip()
    if options.template is not None:
        text = fill(options.template, {**values, "caption": text, "trigger": options.trigger or ""})
    elif options.trigger is not None:
        text = f"{options.trigger}, {text}"
    return options.prefix + text + options.suffix


def joined(new: str, previous: str, options: CompositionOptions) -> str:
    """Put the new text after or before the text that is there, of which every word stays."""
    separator = options.separator.replace("\\n", "\n")
    if not previous.strip():
        return new
    if options.existing == "append":
        return previous.rstrip() + separator + new
    return new + separator + previous.lstrip().rstrip("\r\n")


def holds(content: str, new: str, options: CompositionOptions) -> bool:
    """Check whether a text still holds, at its own end, the new text that an earlier run has added."""
    text = content.strip()
    return text.endswith(new.strip()) if options.existing == "append" else text.startswith(new.strip())
