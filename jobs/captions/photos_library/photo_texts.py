"""The title, description and keywords of a photo: those that a caption becomes, and those that a person wrote, which stay."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.captions.outputs.side_files import keywords_of


@dataclass(frozen=True)
class PhotoTexts:
    """The texts of a photo. In a change, empty ones stay as they are, and keywords are added."""

    title: str = ""
    description: str = ""
    keywords: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.title or self.description or self.keywords)


def texts_of(caption: str, *, as_keywords: bool) -> PhotoTexts:
    """Return the texts that a caption becomes.

    The caption is the description. An answer that follows a schema fills the texts with its fields `title`, `description` (or
    `caption`) and `keywords` (or `tags`); its other fields have no place in Photos.

    Args:
        caption: the text of the image's file.
        as_keywords: the caption is a list of keywords.
    """
    caption = caption.strip()
    if (fields := _object_of(caption)) is not None:
        return PhotoTexts(
            _text(fields.get("title")),
            _text(fields.get("description") or fields.get("caption")),
            _list(fields.get("keywords") or fields.get("tags")),
        )
    return PhotoTexts(keywords=tuple(keywords_of(caption))) if as_keywords else PhotoTexts(description=caption)


def change_of(
    there: PhotoTexts, wanted: PhotoTexts, own: Collection[PhotoTexts], *, replace: bool
) -> tuple[PhotoTexts, bool]:
    """Return what has to be written so that a photo has the wanted texts, and whether a person's text stays in their place.

    Args:
        there: the texts that the photo has.
        wanted: those of its caption.
        own: those of the captions that captionq wrote about the photo before: they may be replaced.
        replace: also replace titles and descriptions that a person wrote.
    """
    title, keeps_title = _change(there.title, wanted.title, [one.title for one in own], replace=replace)
    description, keeps_description = _change(
        there.description, wanted.description, [one.description for one in own], replace=replace
    )
    has = {keyword.casefold() for keyword in there.keywords}
    keywords = tuple(keyword for keyword in wanted.keywords if keyword.casefold() not in has)
    return PhotoTexts(title, description, keywords), keeps_title or keeps_description


def _change(there: str, wanted: str, own: Sequence[str], *, replace: bool) -> tuple[str, bool]:
    there = there.strip()
    if not wanted or there == wanted:
        return "", False
    if not there or replace or there in own:
        return wanted, False
    return "", True


def _object_of(caption: str) -> dict[str, Any] | None:
    """Return the fields of an answer that follows a schema; None: the caption is no JSON object."""
    if not caption.startswith("{"):
        return None
    try:
        found = json.loads(caption)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _list(value: object) -> tuple[str, ...]:
    words = value if isinstance(value, list) else keywords_of(value) if isinstance(value, str) else []
    return tuple(dict.fromkeys(word.strip() for word in words if isinstance(word, str) and word.strip()))
