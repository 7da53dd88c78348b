"""The times at which a webhook that could not be delivered is tried again."""

from __future__ import annotations

#: Seconds from each failed attempt to the next, as Standard Webhooks proposes. After the last one the webhook is given up.
SCHEDULE = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
