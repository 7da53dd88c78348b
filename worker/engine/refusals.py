"""Refusals (`I'm sorry, I can't help with that.`, `As an AI …`), told by their first words in several languages."""

from __future__ import annotations

import re

#: Quotes and Markdown that may stand before the first word.
_START = r"[\s\"'“”„«»*_`>#]*"
_SORRY = (
    r"(?:(?:i['’]m|i\s+am)\s+(?:\w+\s+)?(?:sorry|afraid)|sorry|(?:my\s+)?apologies|i\s+(?:must\s+)?apologi[sz]e|"
    r"unfortunately|regrettably)"
)
_CANNOT = (
    r"\bi(?:\s+|['’])(?:can(?:not|['’]t|\s+not)|am\s+(?:unable|not\s+able)|m\s+(?:unable|not\s+able)|"
    r"won['’]t\s+be\s+able|(?:don['’]t|do\s+not)\s+have\s+the\s+(?:ability|capability)|must\s+decline)"
)
_SERVICES = (
    r"help|assist|describe|identify|provide|caption|fulfil+|comply|process|analy[sz]e|recogni[sz]e|generate|answer|engage|"
    r"determine|interpret|access|view|transcribe"
)
_PICTURE = r"(?:image|picture|photo|photograph|attachment|file)s?"
_ENGLISH = (
    rf"{_SORRY}[^\n]{{0,60}}?{_CANNOT}[^.\n]{{0,60}}?\b(?:{_SERVICES}|see|open|do\s+(?:that|this|so)|continue|discuss|tell)",
    rf"{_CANNOT}\s+(?:to\s+)?(?:\w+\s+)?(?:{_SERVICES})\b",
    r"i\s+must\s+decline\b",
    rf"i\s+(?:can['’]t|cannot|don['’]t|do\s+not)\s+(?:\w+\s+)?see\s+(?:an?y?|the|your)\s+{_PICTURE}",
    r"as\s+an?\s+(?:ai|artificial\s+intelligence|(?:large\s+)?language\s+model|text-based)\b[^.\n]{0,60}\bi\b",
    rf"(?:there\s+(?:is|appears\s+to\s+be|seems\s+to\s+be)\s+)?no\s+{_PICTURE}\s+(?:(?:was|is|has\s+been)\s+)?"
    r"(?:provided|attached|uploaded|included|shared)",
    rf"please\s+(?:provide|upload|share|attach)\s+(?:an?|the|your)\s+{_PICTURE}",
)
_OTHERS = (
    # German
    r"(?:(?:es\s+)?tut\s+mir\s+(?:\w+\s+)?leid|leider|entschuldigung|ich\s+bedaure)[^\n]{0,40}?\b(?:ich\s+(?:kann|darf|bin)|"
    r"(?:kann|darf|bin)\s+ich)\b[^.\n]{0,100}?\b(?:nicht|keine?n?)\b",
    r"ich\s+(?:kann|darf)\s+(?:\w+\s+){0,6}?nicht\s+(?:\w+\s+)?(?:helfen|beschreiben|identifizieren|beantworten|erkennen|"
    r"anzeigen|sehen|verarbeiten|erfüllen)",
    r"als\s+(?:eine?\s+)?(?:ki|künstliche\s+intelligenz|(?:ki-)?sprachmodell|ki-\w+)\b[^.\n]{0,40}\bich\b",
    # French
    r"(?:je\s+suis\s+(?:\w+\s+)?désolée?|désolée?|malheureusement|je\s+regrette)[^\n]{0,40}?\bje\s+ne\s+(?:peux|puis|suis)\s+pas\b",
    r"je\s+ne\s+(?:peux|puis)\s+pas\s+(?:\w+['’\s]\s*)?(?:aider|décrire|identifier|répondre|fournir|traiter|voir|analyser)",
    r"je\s+ne\s+suis\s+pas\s+(?:en\s+mesure|capable)\b",
    r"en\s+tant\s+qu(?:['’]|e\s+)(?:ia|intelligence\s+artificielle|assistante?|modèle)\b[^.\n]{0,60}\bje\b",
    # Spanish
    r"(?:lo\s+(?:siento|lamento)|disculpa|perdón|lamentablemente|desafortunadamente)[^\n]{0,40}?\bno\s+(?:puedo|soy\s+capaz|me\s+es)",
    r"no\s+puedo\s+(?:ayudar|describir|identificar|ver|proporcionar|procesar|cumplir|responder|analizar)",
    r"como\s+(?:un\s+|una\s+)?(?:ia|inteligencia\s+artificial|modelo\s+de\s+lenguaje|asistente)\b[^.\n]{0,40}\bno\s+puedo",
    # Italian
    r"(?:mi\s+(?:dispiace|spiace)|spiacente|purtroppo)[^\n]{0,40}?\bnon\s+(?:posso|sono\s+in\s+grado|riesco)\b",
    r"non\s+(?:posso|sono\s+in\s+grado\s+di)\s+(?:aiutar|descriver|identificar|rispond|fornir|elabor|analizz|veder)",
    r"(?:come|in\s+quanto)\s+(?:ia|intelligenza\s+artificiale|modello\s+linguistico|assistente)\b[^.\n]{0,40}\bnon\b",
    # Portuguese
    r"(?:desculpe|me\s+desculpe|sinto\s+muito|lamento|infelizmente)[^\n]{0,40}?\bnão\s+(?:posso|consigo|sou\s+capaz)\b",
    r"não\s+(?:posso|consigo)\s+(?:ajudar|descrever|identificar|ver|fornecer|processar|responder|analisar)",
    r"como\s+(?:um\s+|uma\s+)?(?:ia|inteligência\s+artificial|modelo\s+de\s+linguagem|assistente)\b[^.\n]{0,40}\bnão\b",
    # Dutch
    r"(?:het\s+spijt\s+me|sorry|helaas|excuses)[^\n]{0,40}?\b(?:ik\s+(?:kan|ben)|(?:kan|ben)\s+ik)\b[^.\n]{0,80}?\b(?:niet|geen)\b",
    r"ik\s+kan\s+(?:\w+\s+){0,5}?niet\s+(?:\w+\s+)?(?:helpen|beschrijven|identificeren|beantwoorden|zien|verwerken|herkennen)",
    # Polish, Russian, Turkish, Arabic
    r"(?:przepraszam|niestety|przykro\s+mi)[^\n]{0,60}?\bnie\s+(?:mogę|jestem\s+w\s+stanie)\b",
    r"(?:извините|простите|к\s+сожалению|мне\s+жаль|прошу\s+прощения)[^\n]{0,60}?\bне\s+(?:могу|в\s+состоянии|имею)\b",
    r"я\s+не\s+могу\s+(?:\w+\s+)?(?:помочь|описать|определить|ответить|предоставить|обработать|увидеть)",
    r"(?:üzgünüm|maalesef|özür\s+dilerim)[^\n]{0,80}?(?:\w+(?:amam|emem|amıyorum|emiyorum)|mümkün\s+değil)",
    r"(?:عذر[اًا]+|آسف|أعتذر)[^\n]{0,50}?لا\s+(?:أستطيع|يمكنني)",
    # Chinese, Japanese, Korean
    r"(?:很|非常)?(?:抱歉|对不起|對不起|遗憾)[^\n]{0,20}?(?:无法|無法|不能|没有办法)",
    r"我(?:无法|無法|不能)(?:帮|幫|提供|描述|识别|識別|查看|看到|回答|满足|处理|协助)",
    r"作为(?:一个|一名)?(?:ai|人工智能|语言模型|大?语言模型)[^\n]{0,20}?我",
    r"(?:大変)?(?:申し訳(?:ありません|ございません)|すみません|ごめんなさい|残念ながら)[^\n]{0,60}?(?:できません|出来ません|できかねます)",
    r"(?:죄송합니다|죄송하지만|미안합니다|유감스럽지만|유감스럽게도)[^\n]{0,60}?(?:없습니다|어렵습니다|못합니다)",
)
_REFUSAL = re.compile(rf"{_START}(?:{'|'.join((*_ENGLISH, *_OTHERS))})", re.IGNORECASE)


def is_refusal(text: str) -> bool:
    """Check whether an answer begins by declining to answer."""
    return _REFUSAL.match(text[:400]) is not None
