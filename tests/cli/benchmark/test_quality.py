"""Token F1 and the reference texts of `captionq bench --models`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.benchmark.models.quality import references_beside, references_in, token_f1, words_of
from jobs.errors import BenchmarkError


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        ("A red square.", "a red, square", 1.0),
        # Two of three words in common on both sides: "red" counts once, as the reference has it once.
        ("red red square", "a red square", 2 / 3),
        # Precision 1, recall 1/4: the harmonic mean is 2/5.
        ("sea", "the sea at night", 0.4),
        ("green", "red", 0.0),
        ("", "red", 0.0),
        ("…", "!", 1.0),
        ("赤い円", "赤い四角", 4 / 7),
        ("Ｃａｆé", "café", 1.0),
    ],
)
def test_the_score_counts_words_in_common(text: str, reference: str, score: float) -> None:
    """As often as both texts have them, whatever their case, their punctuation and their width."""
    assert token_f1(text, reference) == pytest.approx(score)
    assert token_f1(reference, text) == pytest.approx(score)


def test_a_character_of_a_script_without_spaces_is_a_word() -> None:
    """Words of other scripts stand beside them."""
    assert words_of("東京Tower 333") == ["東", "京", "tower", "333"]


def test_references_lie_beside_the_images(tmp_path: Path) -> None:
    """Under the image's name with or without its ending; an empty text is none."""
    images = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    (tmp_path / "a.txt").write_text("short")
    (tmp_path / "b.txt").write_text("short")
    (tmp_path / "b.jpg.txt").write_text("long ")
    (tmp_path / "c.txt").write_text(" \n")
    assert references_beside(images) == {images[0]: "short", images[1]: "long"}


def test_references_of_a_table_are_found_by_path_and_by_name(tmp_path: Path) -> None:
    """captionq's exports have paths and captions, imagefolders have file names and texts. A failed row has no caption."""
    images = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg")]
    rows = [
        {"path": str(images[0]), "caption": "one"},
        {"file_name": "b.jpg", "text": "two"},
        {"path": "c.jpg", "caption": None},
    ]
    file = tmp_path / "wanted.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert references_in(file, images) == {images[0]: "one", images[1]: "two"}
    with pytest.raises(BenchmarkError, match="no text for any of the 1 images"):
        references_in(file, images[2:])
    file.write_text('{"caption": "of which?"}')
    with pytest.raises(BenchmarkError, match=r"Line 1 of wanted\.jsonl"):
        references_in(file, images)
