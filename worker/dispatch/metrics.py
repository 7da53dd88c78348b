"""The worker's counters and measurements, in Prometheus' terms. The API serves them; the worker opens no port."""

from __future__ import annotations

import sys
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from jobs.store.result import Result
from worker.engine.figures import Figures

#: Seconds.
_STEPS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_WAITS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)


class Metrics:
    """The figures of one worker since its start."""

    def __init__(self, worker: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        of_worker: dict[str, Any] = {"registry": self._registry, "namespace": "captionq"}
        labels = ["worker"]
        self._worker = worker
        self._rows = Gauge("batch_rows", "Rows that decode together.", labels, **of_worker)
        self._slots = Gauge("batch_slots", "Rows that may decode together.", labels, **of_worker)
        self._encoded = Gauge(
            "images_encoded",
            "Images that the vision tower has encoded since the model was loaded.",
            labels,
            **of_worker,
        )
        stage = [*labels, "stage"]
        self._stage_seconds = Gauge(
            "stage_seconds", "Device time by stage since the model was loaded.", stage, **of_worker
        )
        self._stage_amount = Gauge("stage_amount", "Images, prompt tokens or tokens of each stage.", stage, **of_worker)
        self._stage_units = Gauge("stage_units", "Passes, chunks or steps of each stage.", stage, **of_worker)
        self._features = Gauge(
            "feature_cache", "Reads and writes of the feature cache, by their ends.", [*labels, "outcome"], **of_worker
        )
        self._memory = Gauge("memory_bytes", "Memory that mlx holds.", [*labels, "kind"], **of_worker)
        self._jobs = Counter("jobs_ended", "Jobs that ended.", [*labels, "lane", "outcome"], **of_worker)
        self._not_reached = Counter(
            "pictures_not_reached", "Jobs whose picture this machine does not reach.", [*labels, "lane"], **of_worker
        )
        self._tokens = Counter("tokens", "Tokens that went in and came out.", [*labels, "kind"], **of_worker)
        self._steps = Histogram("step_seconds", "One step of the engine.", labels, buckets=_STEPS, **of_worker)
        self._stages = Histogram(
            "job_seconds", "Where the time of a job went.", [*labels, "lane", "stage"], buckets=_WAITS, **of_worker
        )

    def stepped(self, seconds: float) -> None:
        """The engine took a step."""
        self._steps.labels(self._worker).observe(seconds)

    def succeeded(self, lane: str, result: Result, queue_seconds: float | None) -> None:
        """A job has its answer."""
        self._jobs.labels(self._worker, lane, "succeeded").inc()
        for kind, count in (
            ("prompt", result.prompt_tokens),
            ("image", result.image_tokens),
            ("completion", result.completion_tokens),
        ):
            self._tokens.labels(self._worker, kind).inc(count)
        for stage, seconds in (
            ("queue", queue_seconds or 0.0),
            ("preprocess", result.preprocess_seconds),
            ("prefill", result.prefill_seconds),
            ("decode", result.decode_seconds),
        ):
            self._stages.labels(self._worker, lane, stage).observe(seconds)

    def not_reached(self, lane: str) -> None:
        """The picture of a job is not reached from this machine."""
        self._not_reached.labels(self._worker, lane).inc()

    def failed(self, lane: str, outcome: str) -> None:
        """A job ended otherwise: `failed`, or `retried`."""
        self._jobs.labels(self._worker, lane, outcome).inc()

    @staticmethod
    def memory() -> int | None:
        """Return the bytes that mlx holds; None: mlx is not in use."""
        # The stub's worker never imports mlx.
        mx = sys.modules.get("mlx.core")
        return None if mx is None else int(mx.get_active_memory() + mx.get_cache_memory())

    def text(self, *, rows: int, slots: int, figures: Figures) -> str:
        """All of it in Prometheus' text format."""
        for stage, totals in figures.stages.items():
            self._stage_seconds.labels(self._worker, stage).set(totals.seconds)
            self._stage_amount.labels(self._worker, stage).set(totals.amount)
            self._stage_units.labels(self._worker, stage).set(totals.units)
        for outcome, count in figures.features.items():
            self._features.labels(self._worker, outcome).set(count)
        self._rows.labels(self._worker).set(rows)
        self._slots.labels(self._worker).set(slots)
        self._encoded.labels(self._worker).set(figures.images_encoded)
        # The stub's worker never imports mlx.
        if (mx := sys.modules.get("mlx.core")) is not None:
            self._memory.labels(self._worker, "active").set(mx.get_active_memory())
            self._memory.labels(self._worker, "cache").set(mx.get_cache_memory())
            self._memory.labels(self._worker, "peak").set(mx.get_peak_memory())
        return generate_latest(self._registry).decode()
