"""The count of a test's faults, which a sweep says at its end, and the failures of a sweep, which goes on after each."""

from __future__ import annotations

import shutil
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.scenario import PICTURES, REQUESTS, Life
from tests.faults.seeds import LONG

#: Jobs of a life.
JOBS = REQUESTS + PICTURES
#: Faults that happened, faults for which a life was too short, and jobs that ended as they should.
COUNTED = ("made", "not reached", "jobs")


class Tally:
    """Counts of a test that makes many faults."""

    def __init__(self, folder: Path) -> None:
        """`folder` gets the data of each failure."""
        self._folder = folder
        self.counts = Counter(dict.fromkeys(COUNTED, 0))
        self._failures: list[str] = []

    def count(self, *, is_made: bool) -> None:
        """Count a fault. `is_made`: it happened; the life was not too short for it."""
        self.counts["made" if is_made else "not reached"] += 1

    @contextmanager
    def going_on(self, life: Life, fault: str) -> Iterator[None]:
        """Count the jobs of a life that the block brings to its end. In a sweep a failure is noted, and the sweep goes on."""
        try:
            yield
        except Exception:
            if not LONG:
                raise
            self._failures.append(f"{fault}: {traceback.format_exc()}")
            ignored = shutil.ignore_patterns("*.sock")
            shutil.copytree(life.settings.data_dir.parent, self._folder / fault, ignore=ignored, dirs_exist_ok=True)
        else:
            self.ended(JOBS)

    def ended(self, jobs: int) -> None:
        """Count jobs that have ended as they should."""
        self.counts["jobs"] += jobs

    def check(self) -> None:
        """Assert that there was no failure."""
        assert not self._failures, "\n".join(self._failures)


@pytest.fixture
def tally(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tally]:
    """The count of the test's faults."""
    counted = Tally(tmp_path / "failures")
    yield counted
    request.node.user_properties.append((Tally.__name__, dict(counted.counts)))
    counted.check()


def summary(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Yield a line with the counts of each test function."""
    sums: dict[str, Counter[str]] = {}
    for report in reports:
        for name, counts in report.user_properties:
            if name == Tally.__name__ and report.when == "teardown" and isinstance(counts, dict):
                sums.setdefault(report.nodeid.partition("[")[0], Counter()).update(counts)
    for test, counts in sorted(sums.items()):
        yield f"{test}: faults {', '.join(f'{name} {counts[name]:,}' for name in COUNTED)}"
