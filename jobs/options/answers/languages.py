"""English names of languages, by their ISO 639-1 codes."""

from __future__ import annotations

_NAMES = {
    "af": "Afrikaans", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali",
    "bs": "Bosnian", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish",
    "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian",
    "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese",
    "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada", "ko": "Korean", "la": "Latin", "lo": "Lao",
    "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi",
    "ms": "Malay", "my": "Burmese", "nb": "Norwegian Bokmål", "ne": "Nepali", "nl": "Dutch", "nn": "Norwegian Nynorsk",
    "no": "Norwegian", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili",
    "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu",
    "uz": "Uzbek", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
#: The codes by the names, in lower case.
_CODES = {name.lower(): code for code, name in _NAMES.items()} | {"mandarin": "zh", "farsi": "fa"}
#: Tags whose region or script changes the words or the letters.
_VARIANTS = {
    "en-gb": "British English",
    "en-us": "American English",
    "pt-br": "Brazilian Portuguese",
    "pt-pt": "European Portuguese",
    "zh-cn": "Simplified Chinese",
    "zh-hans": "Simplified Chinese",
    "zh-hant": "Traditional Chinese",
    "zh-tw": "Traditional Chinese",
}
#: Letters of the longest code of a language (ISO 639).
_CODE_LETTERS = 3


def language_code(name: str) -> str | None:
    """Return the code of a language from its English name, in any case; None: it is not known here."""
    return _CODES.get(name.lower())


def known_languages() -> list[str]:
    """Return the English names of all languages that have a code here."""
    return sorted(_NAMES.values())


def is_known_code(code: str) -> bool:
    """Check whether a language with this code has a name here."""
    return code in _NAMES


def language_name(language: str) -> str:
    """Return the English name of a language from its code or tag (de, pt-BR); a name stays as it is.

    Raises ValueError for an unknown code.
    """
    tag = language.strip().replace("_", "-").lower()
    if name := _VARIANTS.get(tag) or _NAMES.get(tag.partition("-")[0]):
        return name
    if len(tag.partition("-")[0]) <= _CODE_LETTERS:
        raise ValueError(f"{language!r} is not a known code of a language. Write its English name, such as German.")
    return language.strip()
