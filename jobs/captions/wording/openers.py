"""Removal of the words around a caption: openers (`Here is a description of the image:`), labels, Markdown and quotes."""

from __future__ import annotations

import re
from functools import cache

#: A whole first clause that announces the caption, up to a colon or the end of its line.
_ANNOUNCEMENTS = (
    r"(?:(?:sure|certainly|of course|absolutely|okay|ok)\b[^\n:]{0,20}?[!,.:]\s*)?"
    r"(?:here(?:'s|’s| is| are)|below is)\b[^\n:]{0,120}:",
    r"(?:sure|certainly|of course|absolutely)[!.]\s",
    r"(?:hier (?:ist|sind)|nachfolgend|hier is|hier zijn)\b[^\n:]{0,120}:",
    r"(?:voici|voilà)\b[^\n:]{0,120}:",
    r"(?:aquí (?:está|tienes|hay)|a continuación)\b[^\n:]{0,120}:",
    r"(?:ecco|di seguito)\b[^\n:]{0,120}:",
    r"(?:aqui está|aqui estão|segue)\b[^\n:]{0,120}:",
    r"(?:以下是|这是|下面是)[^\n:：]{0,60}[:：]",
    r"(?:以下は|これは)[^\n:：]{0,60}[:：]",
)
_LABELS = (
    r"(?:\*\*|__)?(?:caption|description|alt[ -]?text|answer|image description|bildbeschreibung|beschreibung|"
    r"description de l['’]image|descripción|descrizione|descrição|说明|描述|キャプション)(?:\*\*|__)?\s*[:：]\s*(?:\*\*|__)?",
)
_PICTURE = r"(?:image|picture|photo|photograph|illustration|drawing|painting|scene|screenshot)"
_SHOWS = r"(?:shows|depicts|features|displays|presents|portrays|captures|contains|illustrates|showcases|is of)"
#: The beginning of a sentence that only says that there is a picture. The rest of the sentence is the caption.
_SUBJECTS = (
    rf"(?:the|this|an?)\s+(?:\w+\s+)?{_PICTURE}\s+{_SHOWS}\s+",
    rf"this\s+is\s+an?\s+(?:\w+\s+)?{_PICTURE}\s+(?:of|that\s+shows|showing|depicting)\s+",
    rf"in\s+(?:the|this)\s+{_PICTURE},?\s+(?:we\s+(?:can\s+)?see|you\s+can\s+see|there\s+(?:is|are)|one\s+can\s+see)\s+",
    rf"an?\s+{_PICTURE}\s+(?:of|showing|depicting)\s+",
    r"(?:das|dieses)\s+(?:bild|foto)\s+zeigt\s+",
    r"(?:l['’]image|cette\s+image|la\s+photo|cette\s+photo)\s+(?:montre|représente|présente)\s+",
    r"(?:la|esta)\s+(?:imagen|foto)\s+(?:muestra|presenta)\s+",
    r"(?:l['’]immagine|questa\s+immagine|la\s+foto)\s+(?:mostra|raffigura)\s+",
    r"(?:a|esta)\s+(?:imagem|foto)\s+(?:mostra|apresenta)\s+",
    r"(?:de|deze)\s+(?:afbeelding|foto)\s+toont\s+",
    r"(?:这张|该|此)?(?:图片|照片|图像|画面)(?:中)?(?:显示了|展示了|显示|展示|描绘了|是)",
    r"この(?:画像|写真)(?:は|には)[、,]?",
)


@cache
def _starting_with(patterns: tuple[str, ...]) -> re.Pattern[str]:
    # Not compiled at import: it takes 0.07 s, and most commands have no caption to look at.
    return re.compile(rf"\s*(?:{'|'.join(patterns)})\s*", re.IGNORECASE)


_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "‘": "’", "'": "'", "「": "」", "『": "』"}
_FENCE = re.compile(r"^```[\w-]*\n(.*?)\n?```$", re.DOTALL)
_EMPHASIS = re.compile(r"(\*\*|__|\*|`)(?=\S)(.+?)(?<=\S)\1")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+", re.MULTILINE)


def strip_openers(text: str) -> str:
    """Remove openers, labels, Markdown and surrounding quotes from a caption. A text of which nothing would be left stays."""
    stripped = _plain(text.strip())
    while (shorter := _without_start(stripped)) != stripped:
        stripped = shorter
    return _capitalized(stripped, text.strip()) or text.strip()


def _without_start(text: str) -> str:
    """Remove one opener or label, or one pair of quotes."""
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[-1] not in text[1:-1]:
        return text[1:-1].strip()
    for patterns in (_ANNOUNCEMENTS, _LABELS, _SUBJECTS):
        found = _starting_with(patterns).match(text)
        if found is not None and found.end() < len(text):
            return text[found.end() :]
    return text


def _plain(text: str) -> str:
    """Remove Markdown's fences, headings and emphasis; lists and lines stay."""
    if (fenced := _FENCE.match(text)) is not None:
        text = fenced[1].strip()
    return _EMPHASIS.sub(r"\2", _HEADING.sub("", text))


def _capitalized(stripped: str, original: str) -> str:
    """Begin with a capital letter if the original did: the rest of its first sentence is a sentence now."""
    return stripped[:1].upper() + stripped[1:] if original[:1].isupper() or not original[:1].isalpha() else stripped
