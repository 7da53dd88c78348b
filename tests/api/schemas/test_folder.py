"""The bodies of folders: a path's and an upload's options are read in the same way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.schemas.folder import FolderBody, FolderOptions


@pytest.mark.parametrize(
    ("given", "read"),
    [({"seed": -1}, None), ({"seed": -5}, 2**63 - 5), ({"seed": 7.0}, 7), ({"max_tokens": 100.0}, 100)],
    ids=str,
)
def test_numbers_are_read_alike_with_a_path_and_with_an_upload(given: dict[str, Any], read: int | None) -> None:
    """JSON knows one kind of number, and -1 stands for no seed."""
    name = next(iter(given))
    assert getattr(FolderOptions.model_validate_json(json.dumps(given)), name) == read
    assert getattr(FolderBody.model_validate_json(json.dumps({"path": "/pictures", **given})), name) == read
