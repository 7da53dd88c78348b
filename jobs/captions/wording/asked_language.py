"""The language that a prompt asks for, and whether an answer is in another: told by its script and, if it is long, its words."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from jobs.options.answers.languages import is_known_code, language_code

_ASKED = re.compile(
    r"\b(?:answer|reply|respond|write|describe)\b[^.\n]{0,40}?\bin\s+(?:(?:simplified|traditional|brazilian)\s+)?([a-z]+)",
    re.IGNORECASE,
)
#: Letters of each script.
_SCRIPTS = {
    "latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
    "cyrillic": "\u0400-\u052f",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "arabic": "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff",
    "hebrew": "\u0590-\u05ff",
    "devanagari": "\u0900-\u097f",
    "thai": "\u0e00-\u0e7f",
    "chinese": "\u3400-\u9fff",
    "japanese": "\u3040-\u30ff\u3400-\u9fff",
    "korean": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
}
_LANGUAGES = {
    "latin": (
        "english german french spanish italian portuguese dutch polish czech slovak swedish danish norwegian finnish turkish "
        "hungarian romanian indonesian malay vietnamese catalan croatian slovenian estonian latvian lithuanian"
    ),
    "cyrillic": "russian ukrainian bulgarian belarusian macedonian",
    "greek": "greek",
    "arabic": "arabic persian farsi urdu",
    "hebrew": "hebrew",
    "devanagari": "hindi marathi nepali",
    "thai": "thai",
    "chinese": "chinese mandarin",
    "japanese": "japanese",
    "korean": "korean",
}
_SCRIPT_OF = {language: script for script, names in _LANGUAGES.items() for language in names.split()}
#: Share of an answer's letters that are of the script, at least: names and brands may be in another one.
LEAST_SHARE = 0.1


#: Characters of an answer whose words are judged, at least, and the share of certainty. Of 1,444 captions of this length in
#: thirteen languages, 1,302 were judged with this certainty, and none wrongly; single shorter ones with foreign names were.
LEAST_CHARACTERS, LEAST_CERTAINTY = 60, 0.9
#: Languages that are too much alike to be told apart by a sentence.
_ALIKE = (
    {"no", "nb", "nn", "da"},
    {"hr", "sr", "bs", "sl"},
    {"id", "ms"},
    {"cs", "sk"},
    {"es", "gl", "ca"},
    {"pt", "gl"},
    {"nl", "af"},
    {"bg", "mk"},
    {"ru", "be", "uk"},
    {"hi", "mr", "ne"},
    {"fa", "ur", "ar"},
)
_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»|(?<!\w)['‘][^'’\n]*['’](?!\w)")


def is_in_wrong_language(text: str, prompt: str) -> bool:
    """Check whether a prompt asks for a language by its English name, and the answer is in another script or language."""
    return is_in_wrong_script(text, prompt) or _has_other_words(text, prompt)


def _has_other_words(text: str, prompt: str) -> bool:
    """Check whether an answer that is long enough is in another language. Quotations may be in any."""
    asked = _ASKED.findall(prompt)
    wanted = language_code(asked[-1]) if asked else None
    said = " ".join(_QUOTED.sub(" ", text).split())
    if wanted is None or len(said) < LEAST_CHARACTERS:
        return False
    found, certainty = _identifier().classify(said)
    if certainty < LEAST_CERTAINTY or found == wanted or not is_known_code(found):
        return False
    return not any({wanted, found} <= alike for alike in _ALIKE)


@lru_cache(maxsize=1)
def _identifier() -> Any:
    # Imported here: some 0.3 s that only answers in a wanted language need.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def is_in_wrong_script(text: str, prompt: str) -> bool:
    """Check whether a prompt asks for a language by its English name, and the answer is in another script."""
    asked = _ASKED.findall(prompt)
    script = _SCRIPT_OF.get(asked[-1].lower()) if asked else None
    letters = sum(character.isalpha() for character in text)
    if script is None or not letters:
        return False
    return len(re.findall(f"[{_SCRIPTS[script]}]", text)) < LEAST_SHARE * letters
