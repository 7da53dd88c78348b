"""Addresses of objects, and the paths that stand for them."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from jobs.errors import InvalidImageURLError

#: The scheme of addresses, and the first part of paths.
SCHEME = "s3://"
_FIRST = "s3:"
_BELOW = f"{_FIRST}/"


def is_object_address(text: str) -> bool:
    """Check whether a text is the address of an object."""
    return text[: len(SCHEME)].lower() == SCHEME


def is_object(path: PurePath) -> bool:
    """Check whether a path stands for an object."""
    # By the text, which a path keeps: a folder run asks for each image, and the parts are made anew each time.
    text = os.fspath(path)
    return text.startswith(_BELOW) or text == _FIRST


def object_path(address: str) -> Path:
    """Return the path of an object. Raises InvalidImageURLError for a key that no path holds, or without a bucket."""
    key = address[len(SCHEME) :]
    path = Path(_FIRST, *key.split("/"))
    if (
        not key.strip("/")
        or object_address(path) != SCHEME + key.removesuffix("/")
        or ".." in path.parts
        or "\0" in key
    ):
        raise InvalidImageURLError("The address of an object is s3://bucket/key, without empty parts, '.' and '..'.")
    return path


def object_address(path: PurePath) -> str:
    """Return the address of an object, the inverse of `object_path`."""
    return SCHEME + "/".join(path.parts[1:])


def is_below_object(path: PurePath, root: PurePath) -> bool:
    """Check whether an object lies below another path of an object. There are no links among objects."""
    return is_object(root) and ".." not in path.parts and path.is_relative_to(root)
