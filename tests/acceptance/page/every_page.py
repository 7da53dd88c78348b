"""The pages that every test of all pages opens. A new page is one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.pages import pictures, queue, wait_for_end
from tests.support.processes import until
from tests.support.scenes import save_scenes
from tests.support.serving import Served


@dataclass(frozen=True)
class Example:
    """A run with captions and a failure, for pages that show one, and a comparison with other captions of it."""

    run: str
    picture: str
    failed: str
    comparison: str


#: The address of each page, by its name.
PAGES: dict[str, Callable[[Example], str]] = {
    "overview": lambda example: "/",
    "run": lambda example: f"/runs/{example.run}",
    "failures": lambda example: f"/runs/{example.run}?show=failed",
    "picture": lambda example: f"/runs/{example.run}/pictures/{example.picture}",
    "failed picture": lambda example: f"/runs/{example.run}/pictures/{example.failed}",
    "compare": lambda example: f"/runs/{example.run}/compare",
    "comparison": lambda example: example.comparison,
    "new run": lambda example: "/start",
    "chat": lambda example: "/chat",
    "reference": lambda example: "/docs",
    "reference of chat": lambda example: "/docs/chat",
    "unknown run": lambda example: "/runs/batch_unknown",
}


def make_example(served: Served) -> Example:
    """Run some pictures, one of which is broken, to their end, and compare their captions with others."""
    folder = pictures(served) / "every page"
    save_scenes(folder, 3)
    (folder / "broken.jpg").write_bytes(b"this is no picture")
    run = queue(served, folder)
    wait_for_end(served, run)
    by_status = _by_status(served, run)
    compared = served.client.post(f"/runs/{run}/compare", data={"prompt": "What shapes are there?"})
    comparison = compared.headers["location"]
    batch = comparison.split("/")[2]
    until(lambda: set(_by_status(served, batch)) <= {"succeeded", "failed"}, "the end of the comparison")
    return Example(run, by_status["succeeded"], by_status["failed"], comparison)


def _by_status(served: Served, batch: str) -> dict[str, str]:
    """Return a job's id for each status that jobs of the batch have."""
    jobs = served.client.get("/v1/jobs", params={"batch": batch}).json()["data"]
    return {job["status"]: job["id"] for job in jobs}
