"""The process that downloads, without its worker; the rest: `tests/acceptance/test_downloads.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import CaptionqError, ModelNotFoundError
from worker.downloads.download_process import _download


@pytest.mark.parametrize("name", ["owner/model", "demo+adapter=owner/model", "somebody/other+adapter=owner/model"])
def test_a_folder_where_the_worker_runs_is_not_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The worker would load the folder for this name: the download could not be used."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner/model").mkdir(parents=True)
    with pytest.raises(ModelNotFoundError, match="'owner/model' is a folder where the worker runs"):
        _download(name, lambda done, total: None)


@pytest.mark.parametrize("name", ["../owner/model", "/etc", "~/model", "owner/model+adapter=../lora", "stub"])
def test_a_name_that_leads_elsewhere_is_refused_by_the_worker_too(name: str) -> None:
    """Whoever can write to the queue can ask for anything."""
    with pytest.raises(ModelNotFoundError, match="Name one of Hugging Face"):
        _download(name, lambda done, total: None)


def test_a_model_that_is_here_is_complete() -> None:
    """All of its bytes are there, and the hub is not asked."""
    told: list[tuple[int, int]] = []
    _download("demo", lambda done, total: told.append((done, total)))
    assert told[0][0] == told[0][1] > 1_000_000
    with pytest.raises(CaptionqError, match="HF_HUB_OFFLINE"):
        _download("somebody/elsewhere", lambda done, total: None)
