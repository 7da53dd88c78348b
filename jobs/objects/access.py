"""Access to buckets: credentials, region and endpoint from the variables and the files of AWS, and from nowhere else."""

from __future__ import annotations

import configparser
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from obstore.store import S3Store

#: Keys in the files, and the names of the same values here.
_CREDENTIALS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}


def open_bucket(name: str) -> S3Store:
    """Open a bucket. `AWS_ENDPOINT_URL` names another store than Amazon's, such as MinIO's."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options: dict[str, Any] = {} if "AWS_ACCESS_KEY_ID" in os.environ else _from_files()
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _region():
        options["region"] = region
    if endpoint:
        options["endpoint"] = endpoint
    return S3Store(
        name,
        client_options={"connect_timeout": "5s", "timeout": "60s", "allow_http": (endpoint or "").startswith("http:")},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
        **options,
    )


def _from_files() -> dict[str, str]:
    section = _section("AWS_SHARED_CREDENTIALS_FILE", "credentials", _profile())
    return {name: section[key] for key, name in _CREDENTIALS.items() if key in section}


def _region() -> str | None:
    profile = _profile()
    section = _section("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}")
    return section.get("region")


def _profile() -> str:
    return os.environ.get("AWS_PROFILE", "default")


def _section(variable: str, file: str, name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(os.environ.get(variable) or Path.home() / ".aws" / file)
    return dict(parser[name]) if parser.has_section(name) else {}
