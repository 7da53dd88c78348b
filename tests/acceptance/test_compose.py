"""docker-compose.yml: checks that need no Docker, and the check of Compose itself if it is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.configuration.settings import Settings

FILE = Path(__file__).parent.parent.parent / "docker-compose.yml"
PAGE = FILE.parent / "docs" / "http.md"
SERVICES: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_restarted_and_reachable_from_this_machine_only(name: str) -> None:
    """Each service has a health check, a restart policy and loopback ports."""
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_api_is_given_existing_settings() -> None:
    """A misspelt setting would be ignored. The API waits until both other services are healthy."""
    api = SERVICES["api"]
    fields = {f"CAPTIONQ_{name.upper()}" for name in Settings.model_fields}
    assert set(api["environment"]) <= fields | {"PGPASSWORD", "HF_HUB_CACHE"}
    assert {name: one["condition"] for name, one in api["depends_on"].items()} == {
        "valkey": "service_healthy",
        "postgres": "service_healthy",
    }


def test_the_limits_of_the_host_hold_in_the_container() -> None:
    """Every limit that the API reads or its page names, and the webhooks' secret, is passed through if it is set."""
    given = SERVICES["api"]["environment"]
    rows = re.findall(r"^\| (`CAPTIONQ_.*?) \|", PAGE.read_text(), re.MULTILINE)
    limits = {name for row in rows for name in re.findall(r"\w+", row)}
    assert "CAPTIONQ_BODY_PAUSE" in limits
    limits |= {f"CAPTIONQ_{name.upper()}" for name in Settings.model_fields if name.startswith("max_")}
    of_the_worker = {"CAPTIONQ_MAX_PIXELS", "CAPTIONQ_MAX_PROMPT_TOKENS", "CAPTIONQ_MAX_ATTEMPTS"}
    for name in {*limits, "CAPTIONQ_SYNC_DEADLINE", "CAPTIONQ_WEBHOOK_SECRET"} - of_the_worker:
        assert name in given
        assert given[name] is None


def test_answers_are_finished_before_docker_kills(settings: Settings) -> None:
    """Docker waits 10 s by default."""
    assert float(SERVICES["api"]["stop_grace_period"].removesuffix("s")) > settings.grace


def test_no_password_stands_in_an_address() -> None:
    """A password with an @ or a / would change the address."""
    assert "PASSWORD" not in SERVICES["api"]["environment"]["CAPTIONQ_DATABASE_URL"]


def compose_command() -> list[str] | None:
    """Return the command of Docker's plugin, or of the older program, or None."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True).returncode:
            return command
    return None


@pytest.mark.skipif(compose_command() is None, reason="Compose is not installed")
def test_compose_accepts_it() -> None:
    """`docker compose config` accepts the file, with a password that no address could hold."""
    command = compose_command()
    assert command is not None
    given = {
        "CAPTIONQ_API_KEYS": '{"me": "a-long-secret"}',
        "CAPTIONQ_POSTGRES_PASSWORD": "a@b/c",
        "CAPTIONQ_MAX_IMAGES": "7",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAPTIONQ_")} | given
    asked = [*command, "--file", str(FILE), "config"]
    done = subprocess.run(asked, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)["services"]["api"]
    assert found["environment"]["PGPASSWORD"] == "a@b/c"
    assert str(found["environment"]["CAPTIONQ_MAX_IMAGES"]) == "7"
    assert found["environment"].get("CAPTIONQ_WEBHOOK_SECRET") is None
