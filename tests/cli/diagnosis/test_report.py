"""`captionq doctor --report`: what it tells, and what no report may tell."""

from __future__ import annotations

import json
import shutil
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.diagnosis.traces import tracebacks
from cli.main import captionq
from jobs.configuration.settings import Settings
from jobs.errors import ImageNotFoundError
from jobs.models.model_info import built_in_models
from jobs.store.store import Store
from tests.support.rows import add_batch

#: Words of this test's person, machine, pictures and keys.
SECRETS = ("geheim", "mustermann", "wohnzimmer", "pass-wort", "hochzeit")


def report_of(run: CliRunner, path: Path, status: int = 0) -> dict[str, Any]:
    """Run the doctor, and return its report."""
    result = run.invoke(captionq, ["doctor", "--report", str(path)])
    assert result.exit_code == status, result.output
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture
def hostile(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store) -> Path:
    """A home whose names, settings, model, jobs and logs are full of secrets; returns it."""
    home = tmp_path / "Max Mustermann"
    model = home / "geheim model"
    shutil.copytree(built_in_models()["demo"], model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"model_type": "geheim Mustermann"}))
    (model / "README.md").write_text("---\nlicense: geheim\n---\n")
    for name, value in {
        "HOME": str(home),
        "USER": "mustermann",
        "LOGNAME": "mustermann",
        "HF_HOME": str(home / "hochzeit"),
        "CAPTIONQ_MODEL": str(model),
        "CAPTIONQ_API_KEYS": '{"mustermann": "geheim-pass-wort"}',
        "CAPTIONQ_ALLOWED_ROOTS": json.dumps([str(home / "hochzeit")]),
        "CAPTIONQ_ALLOWED_ORIGINS": '["http://wohnzimmer.local"]',
        "CAPTIONQ_PATH_MAP": f"/geheim={home}/hochzeit",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("socket.gethostname", lambda: "wohnzimmer")
    _, jobs = add_batch(store, 2)
    for job in store.claim([job.id for job in jobs], "wohnzimmer"):
        store.fail(job, ImageNotFoundError("hochzeit/geheim.jpg is missing."))
    own = Path(captionq.callback.__code__.co_filename).parents[1]  # type: ignore[union-attr]
    (settings.log_dir / "worker.log").write_text(
        "12:00 mustermann geheim\nTraceback (most recent call last):\n"
        f'  File "{own}/worker/engine/engine.py", line 10, in step\n    open("hochzeit")\n'
        f'  File "{sysconfig.get_path("purelib")}/mlx_vlm/utils.py", line 5, in load\n'
        f'  File "{home}/cli/geheim.py", line 7, in mustermann_1\n'
        f'  File "{home}/site-packages/geheim.py", line 7, in run\n'
        "FileNotFoundError: [Errno 2] No such file or directory: 'hochzeit/geheim.jpg'\n"
        "Traceback (most recent call last):\nMustermann\n"
        "Traceback (most recent call last):\nGeheimError in hochzeit\n"
    )
    return home


def test_nothing_of_a_person_is_in_the_report(
    run: CliRunner, hostile: Path, settings: Settings, tmp_path: Path
) -> None:
    """Names, paths, keys, models, hosts and messages are left out, whatever they look like; the facts are there."""
    path = tmp_path / "report.json"
    told = report_of(run, path, status=1)
    text = path.read_text().casefold()
    assert [word for word in (*SECRETS, str(tmp_path).casefold()) if word in text] == []
    assert told["settings"]["api_keys"] == "set"
    assert told["model"]["name"] == "another"
    assert told["model"]["family"] is None
    assert told["jobs"]["errors"] == {"image_file_not_found": 2}
    assert [one["error"] for one in told["tracebacks"]["worker.log"]] == ["FileNotFoundError", None, None]
    assert told["tracebacks"]["worker.log"][0]["frames"][:2] == [
        "worker/engine/engine.py:10 step",
        "mlx_vlm/utils.py:5 load",
    ]
    checks = {one["check"]: one["code"] for one in told["checks"]}
    assert checks["path map"] == "invalid_settings"
    assert checks["broker"] is None


def test_a_report_has_numbers_of_settings(run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their values are what a fault may depend on. An existing file is no place for a report."""
    monkeypatch.setenv("CAPTIONQ_SLOTS", "4")
    monkeypatch.setenv("CAPTIONQ_MEMORY_BUDGET", "60%")
    path = tmp_path / "report.json"
    told = report_of(run, path)
    assert (told["settings"]["slots"], told["settings"]["memory_budget"]) == (4, "60%")
    assert told["versions"]["mlx-vlm"]
    assert told["limits"]["free_bytes_data"] > 0
    assert all(one["passed"] for one in told["checks"])
    again = run.invoke(captionq, ["doctor", "--report", str(path)])
    assert again.exit_code == 1
    assert "exists. Choose another name" in again.stderr


def test_a_report_is_written_also_without_settings(
    run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value that cannot be read is not in it."""
    monkeypatch.setenv("CAPTIONQ_SLOTS", "geheim")
    told = report_of(run, tmp_path / "report.json", status=1)
    assert told["checks"] == [{"check": "settings", "passed": False, "code": "invalid_settings"}]
    assert "geheim" not in (tmp_path / "report.json").read_text()


def test_a_missing_log_has_no_tracebacks(tmp_path: Path) -> None:
    """A traceback that is cut off at the end of the log is left out."""
    assert tracebacks(tmp_path / "nowhere") == []
    (tmp_path / "log").write_text('Traceback (most recent call last):\n  File "/a.py", line 1, in x\n')
    assert tracebacks(tmp_path / "log") == []
