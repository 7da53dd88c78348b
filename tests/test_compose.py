"""docker-compose.yml: what can be said of it without Docker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.settings import Settings

SERVICES: dict[str, Any] = yaml.safe_load((Path(__file__).parent.parent / "docker-compose.yml").read_text())["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_looked_after_and_reachable_from_this_machine_alone(name: str) -> None:
    """A health check, a restart, and loopback ports."""
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_api_is_given_settings_that_there_are() -> None:
    """A misspelt one would be ignored; and it waits for both others to be healthy."""
    api = SERVICES["api"]
    fields = {f"CAPTIONQ_{name.upper()}" for name in Settings.model_fields}
    assert set(api["environment"]) <= fields
    assert {name: one["condition"] for name, one in api["depends_on"].items()} == {
        "valkey": "service_healthy",
        "postgres": "service_healthy",
    }
