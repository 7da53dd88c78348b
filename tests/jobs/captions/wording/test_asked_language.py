"""The language that a prompt asks for, and answers in another script."""

from __future__ import annotations

import pytest

from jobs.captions.wording.asked_language import is_in_wrong_script

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
