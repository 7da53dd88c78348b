"""The limits of poison jobs: jobs whose worker died again and again while it ran them."""

from __future__ import annotations

#: Number of worker deaths after which a job runs isolated: if the job is the culprit, no neighbour dies with it.
ISOLATED_AFTER_DEATHS = 2
#: Number of worker deaths at which the job that was running each time fails as `poison`: it has killed its workers.
MAX_DEATHS = 3
