"""The language that a prompt asks for, and whether an answer is in its script. Languages of one script are not told apart."""

from __future__ import annotations

import re

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


def is_in_wrong_script(text: str, prompt: str) -> bool:
    """Check whether a prompt asks for a language by its English name, and the answer is in another script."""
    asked = _ASKED.findall(prompt)
    script = _SCRIPT_OF.get(asked[-1].lower()) if asked else None
    letters = sum(character.isalpha() for character in text)
    if script is None or not letters:
        return False
    return len(re.findall(f"[{_SCRIPTS[script]}]", text)) < LEAST_SHARE * letters
