"""The language that a prompt asks for, and answers in another script or language."""

from __future__ import annotations

import pytest

from jobs.captions.wording.asked_language import is_in_wrong_language, is_in_wrong_script

ENGLISH, GERMAN = "A red circle on a table.", "Ein roter Kreis auf einem Tisch – größer als üblich."
CHINESE, JAPANESE, KOREAN = "桌子上有一个红色的圆圈。", "テーブルの上の赤い円。", "테이블 위의 빨간 원."
RUSSIAN, ARABIC, GREEK = "Красный круг на столе.", "دائرة حمراء على الطاولة.", "Ένας κόκκινος κύκλος."


@pytest.mark.parametrize(
    ("language", "answer", "wrong"),
    [
        ("German", GERMAN, False),
        ("German", CHINESE, True),
        ("English", RUSSIAN, True),
        ("Simplified Chinese", CHINESE, False),
        ("Chinese", ENGLISH, True),
        ("Chinese", "桌子上的 iPhone 15 Pro Max。", False),
        ("Japanese", JAPANESE, False),
        ("Japanese", KOREAN, True),
        ("Korean", KOREAN, False),
        ("Korean", CHINESE, True),
        ("Russian", RUSSIAN, False),
        ("Russian", ENGLISH, True),
        ("Arabic", ARABIC, False),
        ("Greek", GREEK, False),
        ("Greek", ARABIC, True),
        ("German", "42", False),
        ("Klingon", CHINESE, False),
    ],
)
def test_an_answer_in_another_script_is_noticed(language: str, answer: str, wrong: bool) -> None:
    """Names and numbers are no language, and of an unknown language nothing is known."""
    assert is_in_wrong_script(answer, f"Describe this image in detail. Answer in {language}.") == wrong
    assert not is_in_wrong_script(answer, "Describe this image in detail.")


LONG_ENGLISH = "Two children in red jackets stand in front of a stone house while snow falls in the background."
LONG_GERMAN = "Zwei Kinder in roten Jacken stehen vor einem Steinhaus, während im Hintergrund Schnee fällt."
LONG_DANISH = "To børn i røde jakker står foran et stenhus, mens sneen falder i baggrunden og en hund løber."


@pytest.mark.parametrize(
    ("language", "answer", "wrong"),
    [
        ("German", LONG_GERMAN, False),
        ("German", LONG_ENGLISH, True),
        ("Brazilian Portuguese", LONG_GERMAN, True),
        ("English", LONG_ENGLISH, False),
        ("English", LONG_GERMAN, True),
        ("English", f'A sign that says "{LONG_GERMAN}"', False),
        ("English", "Plate of spaghetti alla carbonara with parmigiano reggiano.", False),
        ("Norwegian", LONG_DANISH, False),
        ("Swiss", LONG_ENGLISH, False),
        ("German", ENGLISH, False),
    ],
)
def test_a_long_answer_in_another_language_is_noticed(language: str, answer: str, wrong: bool) -> None:
    """Quotations, near relatives and short answers are not judged."""
    assert is_in_wrong_language(answer, f"Describe this image. Answer in {language}.") == wrong
    assert not is_in_wrong_language(answer, "Describe this image.")
