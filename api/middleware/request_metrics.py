"""Prometheus metrics of the API's own requests."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: Upper bounds of the histograms, in seconds.
_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class RequestMetrics:
    """Counters and histograms of requests, by route."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests",
            "Requests, by method, route and status.",
            ["method", "route", "status"],
            namespace="captionq",
            registry=self.registry,
        )
        self._seconds = Histogram(
            "http_request_seconds",
            "Seconds from the first byte of a request to the last byte of its response.",
            ["method", "route"],
            namespace="captionq",
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self._first_tokens = Histogram(
            "http_first_token_seconds",
            "Seconds from the first byte of a request to the first text of its stream.",
            namespace="captionq",
            registry=self.registry,
            buckets=_BUCKETS,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request whose response has been sent in full."""
        # Clients may send any word as a method, and each label is kept for ever.
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def first_token(self, seconds: float) -> None:
        """Count a stream whose first text has been sent."""
        self._first_tokens.observe(seconds)
