"""Errors of images. Each ends its own job and no other."""

from __future__ import annotations

from jobs.errors.requests import InvalidRequestError


class ImageError(InvalidRequestError):
    """The image cannot be used."""

    code = "image_parse_error"


class ImageNotFoundError(ImageError):
    """The image file does not exist."""

    code = "image_file_not_found"


class ImageNotReachedError(ImageNotFoundError):
    """This machine does not reach the image. Another worker may."""

    code = "image_not_reached"
    transient = True
    #: The folder, mount or bucket that is missing here: for the log of this machine only.
    root: str = ""


class DamagedBlobError(ImageError):
    """The uploaded file was damaged where it is stored. Send the picture again."""

    code = "stored_file_damaged"
    status = 500


class ImageNotDownloadedError(ImageError):
    """The image file is in a cloud, and not on this machine."""

    code = "image_file_not_downloaded"
    transient = True


class EmptyImageError(ImageError):
    """The image file is empty."""

    code = "empty_image_file"


class ImageTooLargeError(ImageError):
    """The image is too large."""

    code = "image_too_large"


class ImageTooSlowError(ImageError):
    """The image takes too long to decode."""

    code = "image_too_slow"


class UnsupportedImageError(ImageError):
    """The file is not a supported image."""

    code = "unsupported_image_media_type"


class ImageForbiddenError(ImageError):
    """The image cannot be read: access is not allowed."""

    code = "image_file_forbidden"
    status = 403


class InvalidImageURLError(ImageError):
    """The image's address is not valid."""

    code = "invalid_image_url"


class InvalidBase64ImageError(ImageError):
    """The image data is not valid base64."""

    code = "invalid_base64_image"


class ImageDownloadError(ImageError):
    """The image could not be downloaded."""

    code = "failed_to_download_image"


class ImageUnavailableError(ImageDownloadError):
    """The image could not be downloaded at the moment. Try again later."""

    transient = True
