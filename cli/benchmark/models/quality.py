"""Token F1: how many words a text has in common with a reference, as SQuAD's evaluation counts them.

Words are compared without their case and in Unicode's compatible form (NFKC); punctuation does not count, and each character of
Chinese, Japanese or Thai is a word of its own. With c words in common, counted as often as both texts have them, precision is
c / words of the text, recall is c / words of the reference, and F1 is their harmonic mean: 0 to 1. The score knows no synonyms
and no order of words.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jobs.errors import BenchmarkError

#: A character of a script without spaces between words, or a run of other letters and digits.
_WORD = re.compile(
    r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+"
)
#: The names under which tables give an image and its text: captionq's own exports, and Hugging Face's imagefolder.
_IMAGE_FIELDS, _TEXT_FIELDS = ("path", "file_name", "image"), ("caption", "text")
#: Bytes of a reference beside an image at most.
_MOST_BYTES = 1_000_000


def words_of(text: str) -> list[str]:
    """Split a text into the words that are compared."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def token_f1(text: str, reference: str) -> float:
    """Return the F1 of the words of a text and a reference; 1 for two texts without words."""
    said, wanted = Counter(words_of(text)), Counter(words_of(reference))
    if not said or not wanted:
        return float(said == wanted)
    common = (said & wanted).total()
    return 2 * common / (said.total() + wanted.total())


def references_beside(images: Sequence[Path]) -> dict[Path, str]:
    """Read the text file beside each image that has one: `IMG_1.txt` or `IMG_1.jpg.txt`."""
    found = {}
    for image in images:
        for path in (image.with_name(f"{image.name}.txt"), image.with_suffix(".txt")):
            if path.is_file() and path.stat().st_size <= _MOST_BYTES:
                found[image] = path.read_text(encoding="utf-8", errors="replace").strip()
                break
    return {image: text for image, text in found.items() if text}


def references_in(file: Path, images: Sequence[Path]) -> dict[Path, str]:
    """Read the references of images from a JSONL file, whose lines name an image by its path or its file name.

    Raises BenchmarkError for a line that is not such an object, or if the file has none of the images.
    """
    texts: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            image = next(row[name] for name in _IMAGE_FIELDS if name in row)
            text = next(row[name] for name in _TEXT_FIELDS if name in row)
        except (ValueError, TypeError, StopIteration):
            raise BenchmarkError(
                f"Line {number} of {file.name} is not an object with an image (path or file_name) and a caption or text."
            ) from None
        if isinstance(text, str) and text.strip():
            texts[str(image)] = text.strip()
    named = {
        image: texts.get(str(image.absolute())) or texts.get(str(image)) or texts.get(image.name) for image in images
    }
    found = {image: text for image, text in named.items() if text is not None}
    if not found:
        raise BenchmarkError(f"{file.name} has no text for any of the {len(images)} images.")
    return found
