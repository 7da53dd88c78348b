"""Jobs that an older version of captionq queued, on this version's worker."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from jobs.requests import path_of
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.old_databases import OLDEST, bring_old_database
from tests.support.scenes import save_scenes
from worker import service

pytestmark = [pytest.mark.timeout(300), pytest.mark.no_tables, pytest.mark.usefixtures("known_models")]

#: Images that wait in each of the databases.
WAITING = ("queued", "waiting", "running", "keywords")


@pytest.mark.parametrize("version", [OLDEST, "0018"])
def test_they_are_answered_about_their_own_pictures(settings: Settings, tmp_path: Path, version: str) -> None:
    """Those that waited, the one that a worker was running, and one without a picture; ended ones stay as they were."""
    captions: dict[str, str] = {}
    for name, (drawn, caption) in zip(WAITING, save_scenes(tmp_path, len(WAITING)).items(), strict=True):
        drawn.rename(tmp_path / f"{name}.png")
        captions[name] = caption
    bring_old_database(settings, version, tmp_path)
    with closing(Store(settings)) as store:
        ended = {job.id: job for job in store.jobs() if job.finished_at is not None}
    service.run(settings, burst=True)
    with closing(Store(settings)) as store:
        assert store.counts()[JobStatus.QUEUED] == store.counts()[JobStatus.RUNNING] == 0
        answered = {job.id: job for job in store.jobs(statuses=[JobStatus.SUCCEEDED]) if job.id not in ended}
        assert {job_id: store.job(job_id) for job_id in ended} == ended
    assert set(answered) == {"job_queued", "job_waiting", "job_running", "job_of_a_vocabulary", "job_asked"}
    assert (answered["job_asked"].text or "").startswith("Hello!")
    assert answered["job_running"].deaths == 2
    for job in answered.values():
        if job.source is not None and "keywords" not in job.source:
            assert job.text == captions[path_of(job.source).stem]
            assert path_of(job.output or "").read_text().rstrip("\n") == job.text
