"""`GET /metrics`: metrics of the queue, the workers and the requests, in Prometheus' text format."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from api.middleware.api_keys import CallerDep
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from jobs.models.model_info import public_name
from jobs.store.queries.waiting_rows import count_waiting
from jobs.store.tables import Lane

logger = logging.getLogger("captionq.api")
router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    summary="Get metrics",
    responses={200: {"description": "Prometheus' text format", "content": {"text/plain": {}}}},
)
def metrics(resources: ResourcesDep, caller: CallerDep) -> Response:
    """Get metrics for Prometheus. While the broker is away, the metrics of workers are missing."""
    registry = CollectorRegistry()
    registry.register(_Queue(resources))
    registry.register(_Workers(resources))
    text = generate_latest(registry) + generate_latest(resources.metrics.registry)
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Queue(Collector):
    """Metrics of the jobs and the lanes."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def collect(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("captionq_jobs", "Jobs by status.", labels=["state"])
        for status, count in self._resources.store.counts().items():
            jobs.add_metric([status], count)
        yield jobs
        yield GaugeMetricFamily("captionq_streams", "Open answers and event streams.", self._resources.hub.open_streams)
        depth = GaugeMetricFamily("captionq_queue_depth", "Jobs waiting in a lane.", labels=["lane"])
        for lane in Lane:
            depth.add_metric([lane], count_waiting(self._resources.store.engine, lane))
        yield depth


class _Workers(Collector):
    """Metrics that the workers publish: one family for each name, one label for each worker."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        try:
            workers = self._resources.workers()
        except RedisError as error:
            logger.warning("The broker is away (%s): there are no metrics of its workers.", error)
            workers = []
        for worker in workers:
            for family in text_string_to_metric_families(worker.metrics):
                families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                families[family.name].samples += family.samples
        alive = GaugeMetricFamily("captionq_workers", "Live workers.", len(workers))
        about = InfoMetricFamily("captionq_worker", "A live worker.", labels=["worker"])
        seen = GaugeMetricFamily("captionq_worker_last_seen_seconds", "Time of the last word.", labels=["worker"])
        draining = GaugeMetricFamily("captionq_worker_draining", "1: takes no more jobs.", labels=["worker"])
        for worker in workers:
            model = "" if worker.model is None else public_name(worker.model)
            about.add_metric([worker.name], {"host": worker.host, "model": model})
            seen.add_metric([worker.name], worker.at)
            draining.add_metric([worker.name], float(worker.draining))
        yield from (alive, about, seen, draining, *families.values())
