"""Words around captions: removed where they only announce the caption, left where they are part of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.captions.wording.openers import strip_openers


@pytest.mark.parametrize(
    ("answer", "caption"),
    [
        ("Here is a description of the image:\n\nA cat on a mat.", "A cat on a mat."),
        ("Sure! Here's a short caption for the photo: a cat on a mat.", "A cat on a mat."),
        ("The image shows a cat on a mat. The cat sleeps.", "A cat on a mat. The cat sleeps."),
        ("This is a photograph of two dogs.", "Two dogs."),
        ("In this image, we can see a red car.", "A red car."),
        ("**Caption:** A cat.", "A cat."),
        ("Caption: “A cat.”", "A cat."),
        ('"A cat."', "A cat."),
        ("### A cat\n\n- on a **mat**", "A cat\n\n- on a mat"),
        ("```\nA cat.\n```", "A cat."),
        ("Das Bild zeigt eine Katze.", "Eine Katze."),
        ("Voici une description de l'image : un chat.", "Un chat."),
        ("L’image montre un chat.", "Un chat."),
        ("La imagen muestra un gato.", "Un gato."),
        ("Ecco una descrizione dell'immagine: un gatto.", "Un gatto."),
        ("A imagem mostra um gato.", "Um gato."),
        ("De afbeelding toont een kat.", "Een kat."),
        ("这张图片显示了一只猫。", "一只猫。"),
        ("この画像には、猫がいます。", "猫がいます。"),
    ],
)
def test_words_that_only_announce_a_caption_are_removed(answer: str, caption: str) -> None:
    """In the languages that models answer in."""
    assert strip_openers(answer) == caption


@pytest.mark.parametrize(
    "caption",
    [
        "A cat on a mat.",
        "cat, mat, indoors",
        "Here comes the sun over a lake.",
        "The imagery on the wall shows a horse.",
        "A painting hangs above the sofa.",
        '"Open" says the sign, and "closed" the door.',
        "A sign: no dogs.",
        "2 * 3 * 4 on a blackboard",
        "Das Bilderbuch liegt offen.",
        "The image shows",
    ],
)
def test_a_caption_without_an_opener_stays(caption: str) -> None:
    """Each word is a part of the picture."""
    assert strip_openers(caption) == caption


@given(st.text())
def test_a_text_never_becomes_empty_and_a_second_pass_changes_nothing(answer: str) -> None:
    """Removing openers twice is removing them once."""
    once = strip_openers(answer)
    assert bool(once) == bool(answer.strip())
    assert strip_openers(once) == once
