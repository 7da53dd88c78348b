"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return the number with the noun in its right form: 1 image, 2 images, 2 libraries, 2 batches."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def counted_are(number: int, noun: str) -> str:
    """Return the number with the noun and its verb: 1 image is, 2 images are."""
    return f"{counted(number, noun)} {'is' if number == 1 else 'are'}"
