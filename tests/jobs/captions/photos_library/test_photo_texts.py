"""The title, description and keywords that a caption becomes, and those of a person, which stay."""

from __future__ import annotations

import pytest

from jobs.captions.photos_library.photo_texts import PhotoTexts, change_of, texts_of

CAT = PhotoTexts(description="A cat.")


@pytest.mark.parametrize(
    ("caption", "as_keywords", "texts"),
    [
        ("A cat.\n", False, CAT),
        ("cat, red sofa\n", True, PhotoTexts(keywords=("cat", "red sofa"))),
        (
            '{"title": "Mia", "caption": "A cat.", "tags": ["cat", "cat", " sofa ", 3], "legs": 4}',
            False,
            PhotoTexts("Mia", "A cat.", ("cat", "sofa")),
        ),
        ('{"keywords": "cat; sofa", "title": 4}', False, PhotoTexts(keywords=("cat", "sofa"))),
        ("{a cat}", False, PhotoTexts(description="{a cat}")),
        ("", True, PhotoTexts()),
    ],
)
def test_a_caption_becomes_texts(caption: str, as_keywords: bool, texts: PhotoTexts) -> None:
    """Fields of an answer that follows a schema go where Photos has a place for them."""
    assert texts_of(caption, as_keywords=as_keywords) == texts


@pytest.mark.parametrize(
    ("there", "own", "replace", "change", "keeps"),
    [
        (PhotoTexts(), (), False, CAT, False),
        (PhotoTexts(description=" A cat. "), (), False, PhotoTexts(), False),
        (PhotoTexts(description="Mia"), (), False, PhotoTexts(), True),
        (PhotoTexts(description="Mia"), (), True, CAT, False),
        (PhotoTexts(description="A dog."), (PhotoTexts(description="A dog."),), False, CAT, False),
        (PhotoTexts(title="Mia"), (), False, CAT, False),
    ],
    ids=["none", "the same", "a person's", "replaced", "captionq's own", "another text"],
)
def test_a_persons_text_stays(
    there: PhotoTexts,
    own: tuple[PhotoTexts, ...],
    replace: bool,
    change: PhotoTexts,
    keeps: bool,
) -> None:
    """Unless it is to be replaced. Texts that captionq wrote give way to newer ones."""
    assert change_of(there, CAT, own, replace=replace) == (change, keeps)


def test_keywords_are_added() -> None:
    """Those that the photo has, in whatever case, are not written again, and none is removed."""
    wanted = PhotoTexts("Mia", keywords=("Cat", "sofa"))
    there = PhotoTexts("Minka", keywords=("cat", "Kids"))
    assert change_of(there, wanted, (), replace=False) == (PhotoTexts(keywords=("sofa",)), True)
