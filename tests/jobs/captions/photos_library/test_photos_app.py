"""What Photos is told, with a package in the place of photoscript, which only Macs have."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from jobs.captions.photos_library.photo_texts import PhotoTexts
from jobs.captions.photos_library.photos_app import ScriptedPhotosApp, check_photos_app
from jobs.errors import MissingToolError, OutputChangedError, OutputError, OutputForbiddenError


class AppleScriptError(Exception):
    """The error of photoscript."""


class ScriptedPhoto:
    """A photo as photoscript has it: each text is asked for and set by itself."""

    #: By id, the values of the properties.
    photos: dict[str, dict[str, Any]] = {}  # noqa: RUF012
    #: The error of AppleScript with which everything is answered.
    answer: str | None = None
    #: Whether Photos ignores what it is told.
    is_deaf = False

    def __init__(self, uuid: str) -> None:
        self.__dict__["_uuid"] = uuid
        self._check()
        if uuid not in self.photos:
            raise ValueError(f"Invalid photo id: {uuid}")

    def __getattr__(self, name: str) -> Any:
        self._check()
        return self.photos[self.__dict__["_uuid"]][name]

    def __setattr__(self, name: str, value: object) -> None:
        self._check()
        if not self.is_deaf:
            self.photos[self.__dict__["_uuid"]][name] = value

    @classmethod
    def _check(cls) -> None:
        if cls.answer is not None:
            raise AppleScriptError(cls.answer)


@pytest.fixture
def photos(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedPhoto]:
    """A library with one photo, and the package that reaches it."""

    class Photos(ScriptedPhoto):
        photos = {"A": {"title": "Mia", "description": "", "keywords": ["Kids"]}}  # noqa: RUF012

    package, loader = ModuleType("photoscript"), ModuleType("photoscript.script_loader")
    values: dict[str, Any] = {
        "Photo": Photos,
        "PhotosLibrary": Photos._check,
        "AppleScriptError": AppleScriptError,
    }
    vars(package).update(values)
    settings: list[dict[str, Any]] = []
    vars(loader).update(configure_run_script=lambda **given: settings.append(given))
    monkeypatch.setitem(sys.modules, "photoscript", package)
    monkeypatch.setitem(sys.modules, "photoscript.script_loader", loader)
    ScriptedPhotosApp()
    # Otherwise photoscript kills a Photos that answers slowly.
    assert settings == [{"retry_enabled": False}]
    return Photos


def test_only_what_changes_is_set(photos: type[ScriptedPhoto]) -> None:
    """Keywords are added to those that are there now."""
    app = ScriptedPhotosApp()
    assert app.read("A") == PhotoTexts("Mia", "", ("Kids",))
    app.write("A", PhotoTexts(description="A cat.", keywords=("cat",)))
    assert photos.photos["A"] == {"title": "Mia", "description": "A cat.", "keywords": ["Kids", "cat"]}


def test_faults_of_photos_are_sentences(photos: type[ScriptedPhoto]) -> None:
    """A photo of another library, a text that is not taken, AppleScript's errors, and a Mac whose user said no."""
    app = ScriptedPhotosApp()
    with pytest.raises(OutputError, match="not in the library"):
        app.read("B")
    photos.is_deaf = True
    with pytest.raises(OutputChangedError, match="did not take"):
        app.write("A", PhotoTexts(description="A cat."))
    photos.answer = "Photos got an error: AppleEvent timed out. (-1712)"
    with pytest.raises(OutputError, match="timed out"):
        app.write("A", PhotoTexts(description="A cat."))
    photos.answer = "Not authorized to send Apple events to Photos. (-1743)"
    with pytest.raises(OutputForbiddenError, match="Automation"):
        ScriptedPhotosApp()


@pytest.mark.skipif(sys.platform == "darwin", reason="this is a Mac")
def test_only_a_mac_has_photos(tmp_path: Path) -> None:
    """The sentence says what is possible without it."""
    with pytest.raises(MissingToolError, match="which only a Mac has"):
        check_photos_app(tmp_path)
