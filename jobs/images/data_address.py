"""Images inside of requests: `data:` addresses (RFC 2397) as browsers read them, and bare base64 of a known picture."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from jobs.configuration.settings import Settings
from jobs.errors import EmptyImageError, ImageTooLargeError, InvalidBase64ImageError, InvalidImageURLError

#: Characters of an address that are searched for a header.
_LONGEST_HEADER = 300
#: A header that stands again before the data, or without `data:`, such as `image/png;base64,` and `base64,`.
_ODD_HEADER = re.compile(r"\s*(?:data:[^,]*|(?:[\w.+-]+/[\w.+-]+)?;?base64),", re.IGNORECASE)
_ENDS_WITH_BASE64 = re.compile(r"(?:^|[;:,])\s*base64\s*,?$", re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITE_SPACE = b" \t\r\n\f\v"
#: First bytes of pictures: JPEG, PNG, GIF, WebP, TIFF and BigTIFF, BMP, JPEG 2000, HEIF and AVIF.
_SIGNATURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|RIFF....WEBP|II[*+]\0|MM\0[*+]|BM....\0\0\0\0|\0\0\0\x0cjP  |\0\0\0.ftyp",
    re.DOTALL,
)
#: Base64 characters that hold every signature, and more than most paths have.
_FIRST_CHARACTERS = 32


def inline_data(url: str) -> str | None:
    """Return the `data:` address of an image that is inside of the request itself; None: the address leads elsewhere.

    Bare base64 of a known picture and a `data:` address without its first word count as data. Base64 of a JPEG begins with
    `/9j/`, and must never be taken for a path.
    """
    url = url.strip()
    if url[:5].lower() == "data:":
        return url
    if _ODD_HEADER.match(url[:_LONGEST_HEADER]):
        return f"data:{url}"
    return f"data:;base64,{url}" if _is_base64_picture(url) else None


def decoded_data(url: str, settings: Settings) -> bytes:
    """Decode the bytes of a `data:` address.

    White space, missing padding, the URL-safe alphabet, percent-encoding and any media type are accepted, like data that is
    not base64, and a header that stands twice.

    Raises InvalidImageURLError, InvalidBase64ImageError, ImageTooLargeError, EmptyImageError.
    """
    header, separator, payload = url.strip().partition(",")
    if not separator:
        raise InvalidImageURLError(
            "A data: address needs a comma before the image's data, such as data:image/jpeg;base64,…"
        )
    if again := _ODD_HEADER.match(payload[:_LONGEST_HEADER]):
        header, payload = again[0], payload[again.end() :]
    if _ENDS_WITH_BASE64.search(header[-_LONGEST_HEADER:]) or _is_base64_picture(payload):
        data = _from_base64(payload, settings)
    else:
        _check_size(len(payload) - 2 * payload.count("%"), settings)
        data = unquote_to_bytes(payload)
    if not data:
        raise EmptyImageError("The image's data is empty.")
    return data


def _from_base64(payload: str, settings: Settings) -> bytes:
    encoded = unquote_to_bytes(payload) if "%" in payload else payload.encode(errors="replace")
    encoded = encoded.translate(_URL_SAFE, _WHITE_SPACE).rstrip(b"=")
    _check_size(len(encoded) * 3 // 4, settings)
    try:
        return base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        raise InvalidBase64ImageError("The image's data is not valid base64.") from None


def _is_base64_picture(text: str) -> bool:
    """Check whether a text is base64 that begins like a picture. Paths have a dot, which base64 has not."""
    beginning = unquote_to_bytes(text[:1000].encode(errors="replace")).translate(_URL_SAFE, _WHITE_SPACE)[
        :_FIRST_CHARACTERS
    ]
    if len(beginning) < _FIRST_CHARACTERS or _BASE64.fullmatch(beginning) is None or "." in text:
        return False
    return _SIGNATURES.match(base64.b64decode(beginning)) is not None


def _check_size(size: int, settings: Settings) -> None:
    most = settings.max_image_bytes
    if size > most:
        raise ImageTooLargeError(
            f"The image has {size / 1e6:.0f} MB; the limit is {most / 1e6:.0f} MB (CAPTIONQ_MAX_IMAGE_BYTES)."
        )
