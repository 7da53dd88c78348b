"""Images inside of requests, in every form that clients send and browsers read."""

from __future__ import annotations

import base64
import io
import textwrap
from pathlib import Path
from urllib.parse import quote, quote_from_bytes

import pytest

from jobs.configuration.settings import Settings
from jobs.errors import ImageError, ImageTooLargeError
from jobs.images.data_address import decoded_data, inline_data
from tests.support.scenes import draw

#: Every Pillow format whose base64 is recognised without a header.
KNOWN = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000")


def picture_of(kind: str) -> bytes:
    """Return a small picture whose base64 has padding, and characters that the URL-safe alphabet writes differently."""
    for number in range(50):
        file = io.BytesIO()
        draw(3, (64 + number, 48)).image.save(file, kind)
        encoded = base64.b64encode(file.getvalue())
        if encoded.endswith(b"=") and b"+" in encoded and b"/" in encoded:
            return file.getvalue()
    # Formats that are padded to whole words never need padding.
    return file.getvalue()


PICTURE = picture_of("PNG")
PLAIN = base64.b64encode(PICTURE).decode()
WRAPPED = "\r\n".join(textwrap.wrap(PLAIN, 76))
FORMS = {
    "plain": f"data:image/png;base64,{PLAIN}",
    "in capitals": f"DATA:IMAGE/PNG;BASE64,{PLAIN}",
    "wrapped": f"data:image/png;base64,{WRAPPED}\n",
    "indented": f" data:image/png; base64 , {PLAIN}",
    "with tabs and form feeds": f"data:image/png;base64,{PLAIN[:9]}\t{PLAIN[9:20]}\f{PLAIN[20:]}",
    "without padding": f"data:image/png;base64,{PLAIN.rstrip('=')}",
    "with too much padding": f"data:image/png;base64,{PLAIN}==",
    "URL-safe": f"data:image/png;base64,{base64.urlsafe_b64encode(PICTURE).decode().rstrip('=')}",
    "percent-encoded": f"data:image/png;base64,{quote(WRAPPED, safe='')}",
    "without a media type": f"data:;base64,{PLAIN}",
    "without a semicolon": f"data:base64,{PLAIN}",
    "with a wrong media type": f"data:text/html;base64,{PLAIN}",
    "with a media type that is none": f"data:jpeg;base64,{PLAIN}",
    "with parameters": f'data:image/png;charset=utf-8;name="a b.png";base64,{PLAIN}',
    "without the word base64": f"data:image/png,{PLAIN}",
    "with its header twice": f"data:image/jpeg;base64,data:image/png;base64,{PLAIN}",
    "with half of its header twice": f"data:image/jpeg,base64,{PLAIN}",
    "percent-encoded bytes": f"data:image/png,{quote_from_bytes(PICTURE)}",
    "without its first word": f"image/png;base64,{PLAIN}",
    "with the encoding only": f"base64,{PLAIN}",
    "bare": PLAIN,
    "bare and wrapped": f"\n{WRAPPED}\n",
    "bare and URL-safe": base64.urlsafe_b64encode(PICTURE).decode(),
    "bare and percent-encoded": quote(PLAIN, safe=""),
}


@pytest.mark.parametrize("form", FORMS)
def test_data_is_read_in_every_form(form: str, settings: Settings) -> None:
    """RFC 2397, lenient decoders and sloppy clients differ in white space, padding, alphabet and header."""
    inline = inline_data(FORMS[form])
    assert inline is not None
    assert decoded_data(inline, settings) == PICTURE


@pytest.mark.parametrize("kind", KNOWN)
def test_bare_base64_of_a_known_picture_is_data(kind: str, settings: Settings) -> None:
    """Base64 of a JPEG begins with /9j/, and is no path."""
    picture = picture_of(kind)
    inline = inline_data(base64.b64encode(picture).decode())
    assert inline is not None
    assert decoded_data(inline, settings) == picture


@pytest.mark.parametrize(
    "address",
    [
        "/9j/4AAQSkZJRgABAQAAAQABAAD/holiday/photo.jpg",
        "/9j/photo",
        "/pictures/2026/holiday/somewhere/photo",
        "https://example.org/base64,x",
        "file:///base64,x",
        "Qk" + "A" * 8,
        "image.png",
    ],
)
def test_paths_and_addresses_are_not_data(address: str) -> None:
    """A name with a dot, a short name and an address keep their meaning."""
    assert inline_data(address) is None


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("data:image/png;base64,%%%", "invalid_base64_image"),
        ("data:image/png;base64,AAAAA", "invalid_base64_image"),
        ("data:image/png;base64,AA=AAAA", "invalid_base64_image"),
        ("data:image/png;base64,ÄAAA", "invalid_base64_image"),
        ("data:image/png;base64,", "empty_image_file"),
        ("data:image/png;base64, \n==", "empty_image_file"),
        ("data:,", "empty_image_file"),
        ("data:image/png;base64", "invalid_image_url"),
    ],
)
def test_data_that_cannot_be_read_has_its_own_reason(address: str, code: str, settings: Settings) -> None:
    """Nothing is guessed where a character is missing."""
    with pytest.raises(ImageError) as refused:
        decoded_data(address, settings)
    assert refused.value.code == code


def test_only_the_image_itself_counts_for_the_limit(tmp_path: Path) -> None:
    """Line breaks and percent-encoding make an address longer, not the image."""
    exact, smaller = (Settings(data_dir=tmp_path, max_image_bytes=len(PICTURE) - less) for less in (0, 3))
    for form, address in FORMS.items():
        inline = inline_data(address)
        assert inline is not None
        assert decoded_data(inline, exact) == PICTURE, form
        with pytest.raises(ImageTooLargeError, match="CAPTIONQ_MAX_IMAGE_BYTES"):
            decoded_data(inline, smaller)
