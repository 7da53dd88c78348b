"""Fixtures of tests about webhooks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.configuration.settings import Settings
from jobs.store.connection import open_database
from jobs.store.store import Store
from jobs.store.webhooks.webhook_rows import WebhookStore
from tests.support.webhooks import SECRET


@pytest.fixture
def webhook_settings(settings: Settings) -> Settings:
    """Settings that allow the receivers of these tests, with a secret."""
    return Settings.model_validate(
        {
            "data_dir": settings.data_dir,
            "database_url": settings.database_url,
            "model": "demo",
            "allowed_networks": ("127.0.0.0/8", "::1/128"),
            "webhook_secret": SECRET,
        }
    )


@pytest.fixture
def hooks(webhook_settings: Settings, store: Store) -> Iterator[WebhookStore]:
    """The store of webhooks in the test's own database."""
    engine = open_database(webhook_settings)
    yield WebhookStore(engine)
    engine.dispose()
