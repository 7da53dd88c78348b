"""From an answer to the text of a file: openers, prefix, suffix, trigger word, template, and the text that was there."""

from __future__ import annotations

from jobs.captions.wording.openers import strip_openers
from jobs.options.composition import CompositionOptions
from jobs.options.prompts.templates import fill


def composed(answer: str, options: CompositionOptions, *, free_text: bool = True) -> str:
    """Make the new text from an answer.

    Args:
        answer: of the model.
        options: of the run. Fields of the template about the image were filled when the job was queued.
        free_text: False: the answer is JSON, in which nothing is an opener.
    """
    text = strip_openers(answer) if options.strip_openers and free_text else answer.strip()
    if options.template is not None:
        text = fill(options.template, {"caption": text, "trigger": options.trigger or ""})
    elif options.trigger is not None:
        text = f"{options.trigger}, {text}" if text else options.trigger
    return options.prefix + text + options.suffix


def joined(new: str, previous: str, options: CompositionOptions) -> str:
    """Put the new text after or before the text that is there, of which every word stays."""
    separator = options.separator.replace("\\n", "\n")
    if not new.strip():
        return previous
    if not previous.strip():
        return new
    if options.existing == "append":
        return previous.rstrip() + separator + new
    return new + separator + previous.lstrip().rstrip("\r\n")


def holds(content: str, new: str) -> bool:
    """Check whether a text still holds the new text that an earlier run has added, also if more text came after that."""
    return new.strip() in content
