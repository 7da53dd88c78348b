"""Models that clients may ask for, also models that only another machine has."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from api.runtime.model_catalogue import Catalogue
from jobs.configuration.settings import Settings
from jobs.errors import ModelNotFoundError
from jobs.models.model_info import built_in_models

#: A model that is configured, and not on this machine.
NAME = "somebody/elsewhere"


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Make a catalogue beside an empty Hugging Face cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return Catalogue(Settings(data_dir=tmp_path, model=NAME))


def test_what_the_hub_said_of_a_model_is_not_asked_again(catalogue: Catalogue, tmp_path: Path) -> None:
    """Only the config was downloaded before the hub went away."""
    repository = tmp_path / "hub" / f"models--{NAME.replace('/', '--')}"
    (repository / "snapshots" / "0123abc").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abc")
    shutil.copy(built_in_models()["demo-text"] / "config.json", repository / "snapshots" / "0123abc")
    assert (catalogue.resolve(None).modality, catalogue.resolve(None).path) == ("text", None)
    shutil.rmtree(tmp_path / "hub")
    assert (catalogue.resolve(NAME).modality, catalogue.resolve(NAME).path) == ("text", None)


def test_a_model_that_only_the_worker_knows_can_be_asked_for(catalogue: Catalogue) -> None:
    """The hub is away, so the model's modality is unknown. A name that is not configured is refused."""
    assert (catalogue.resolve(None).name, catalogue.resolve(None).path) == (NAME, None)
    with pytest.raises(ModelNotFoundError, match="somebody/else'"):
        catalogue.resolve("somebody/else")


def test_a_configured_folder_that_is_gone_is_named_without_its_place(tmp_path: Path) -> None:
    """HTTP clients must not learn the paths of folders."""
    (tmp_path / "private").mkdir()
    for folder in (tmp_path / "private", tmp_path / "private" / "gone"):
        with pytest.raises(ModelNotFoundError, match=f"'{folder.name}'") as caught:
            Catalogue(Settings(data_dir=tmp_path, model=str(folder))).resolve(None)
        assert str(tmp_path) not in caught.value.message
