"""Download of images over https."""

from __future__ import annotations

import io
from urllib.parse import urljoin

import httpcore2

from jobs.configuration.settings import Settings
from jobs.errors import (
    AddressForbiddenError,
    EmptyImageError,
    ImageDownloadError,
    ImageTooLargeError,
    ImageUnavailableError,
    InvalidImageURLError,
    InvalidRequestError,
)
from jobs.net.address_rules import check_url
from jobs.net.deadline import Deadline
from jobs.net.http_client import EXCHANGE_ERRORS, exchange, has_bad_certificate, header_of, host_of, reason_of

#: Maximum number of redirects that are followed.
MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
#: Statuses of a request that took too long, and of too many requests. Every 5xx is transient too.
_TRANSIENT = (408, 429)
_HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity"}


def fetch_image(url: str, settings: Settings) -> bytes:
    """Download the bytes at an https address, within `fetch_seconds` in all. The decoder checks that they are an image.

    Raises InvalidImageURLError, AddressForbiddenError, ImageTooLargeError, EmptyImageError, ImageDownloadError and its transient
    subclass ImageUnavailableError. Messages hold no more of the address than the host.
    """
    deadline = Deadline(settings.fetch_seconds)
    for _ in range(MAX_REDIRECTS + 1):
        checked = check_image_url(url, settings)
        answer = _request(checked, settings, deadline)
        if isinstance(answer, bytes):
            return answer
        try:
            url = urljoin(url, answer)
        except ValueError:
            raise ImageDownloadError(f"{host_of(checked)} redirects to an address that is not valid.") from None
    raise ImageDownloadError(
        f"{host_of(checked)} redirects again after {MAX_REDIRECTS} redirects, the most that are followed."
    )


def _request(url: httpcore2.URL, settings: Settings, deadline: Deadline) -> bytes | str:
    """Send one request. Returns the image, or the address that the server redirects to."""
    host = host_of(url)
    try:
        with exchange("GET", url, settings, deadline, headers=_HEADERS) as response:
            if response.status in _REDIRECTS:
                return _location(response, host)
            _check_status(response.status, host)
            return _image(response, host, settings)
    except EXCHANGE_ERRORS as error:
        kind = ImageDownloadError if has_bad_certificate(error) else ImageUnavailableError
        raise kind(f"The image could not be fetched: {host} {reason_of(error)}.") from error


def check_image_url(url: str, settings: Settings) -> httpcore2.URL:
    """Check the address of an image as far as possible without the net, and parse it.

    Raises InvalidImageURLError, AddressForbiddenError.
    """
    try:
        return check_url(url, settings)
    except AddressForbiddenError:
        raise
    except InvalidRequestError as error:
        raise InvalidImageURLError(error.message) from None


def _location(response: httpcore2.Response, host: str) -> str:
    location = header_of(response, "location")
    if not location:
        raise ImageDownloadError(f"{host} answered {response.status}, a redirect without an address.")
    return location


def _check_status(status: int, host: str) -> None:
    if status in _TRANSIENT or status >= 500:
        raise ImageUnavailableError(f"{host} answered {status} instead of an image. This may be temporary.")
    if status != 200:
        raise ImageDownloadError(f"{host} answered {status} instead of an image.")


def _image(response: httpcore2.Response, host: str, settings: Settings) -> bytes:
    encoding = header_of(response, "content-encoding") or "identity"
    if encoding.lower() != "identity":
        # Unpacked, the image might have any size.
        raise ImageDownloadError(f"{host} sent the image compressed, which the request did not allow.")
    # httpcore has checked that the header is a number.
    _check_size(int(header_of(response, "content-length") or 0), host, settings)
    content = io.BytesIO()
    for piece in response.iter_stream():
        content.write(piece)
        _check_size(content.tell(), host, settings)
    if not content.tell():
        raise EmptyImageError(f"The image at {host} is empty.")
    return content.getvalue()


def _check_size(size: int, host: str, settings: Settings) -> None:
    if size > settings.max_image_bytes:
        raise ImageTooLargeError(
            f"The image at {host} is larger than the limit of {settings.max_image_bytes / 1e6:.0f} MB "
            "(CAPTIONQ_MAX_IMAGE_BYTES)."
        )
