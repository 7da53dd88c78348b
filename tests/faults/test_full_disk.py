"""The disk of a running server is full: it says so, keeps what is done, and goes on by itself when there is room."""

from __future__ import annotations

from contextlib import ExitStack

import httpx2
import pytest

from jobs.configuration.settings import Settings
from tests.acceptance.test_chat import png
from tests.faults.life_checks import check_database
from tests.support.disks import fill, mounted
from tests.support.processes import until
from tests.support.scenes import draw_many
from tests.support.serving import about, data_uri, serving

pytestmark = [pytest.mark.timeout(600), pytest.mark.thorough, pytest.mark.no_tables]


def test_a_server_with_a_full_disk_refuses_and_goes_on(settings: Settings) -> None:
    """Uploads and questions are refused with the cause, and no stack is in the log."""
    drawn = draw_many(2)
    with ExitStack() as at_end:
        at_end.enter_context(mounted(settings.data_dir, "64m"))
        settings.make_folders()
        served = at_end.enter_context(serving(settings))

        def ask(number: int) -> httpx2.Response:
            return served.client.post("/v1/chat/completions", json=about(data_uri(png(drawn[number]))))

        def upload() -> httpx2.Response:
            files = {"file": ("x.png", png(drawn[1]))}
            return served.client.post("/v1/files", files=files, data={"purpose": "vision"})

        assert ask(0).json()["choices"][0]["message"]["content"] == drawn[0].caption
        ballast = fill(settings.data_dir)
        refused = upload()
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "disk_full")
        # The broker refuses first, when its own file has no room; without it the picture or the row has none.
        assert (ask(1).status_code, ask(1).json()["error"]["code"]) in ((507, "disk_full"), (503, "broker_read_only"))
        ballast.unlink()
        until(lambda: served.client.get("/readyz").status_code == 200, "the server to be ready")
        until(lambda: ask(1).status_code == 200, "an answer")
        assert ask(1).json()["choices"][0]["message"]["content"] == drawn[1].caption
        assert upload().status_code in (200, 201)
        assert "Traceback" not in served.log_text()
        assert served.stop() == 0
        check_database(settings)
