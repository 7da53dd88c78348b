"""The rule for every path that a client may name: it lies below an allowed root, links resolved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jobs.objects.paths import is_below_object, is_object


def is_below(path: Path, roots: Sequence[Path]) -> bool:
    """Check whether a path lies below one of these folders, links resolved: the rule for every path that a client may name."""
    if is_object(path):
        return any(is_below_object(path, root) for root in roots)
    # `Path.resolve` raises if links lead in a circle.
    real = Path(os.path.realpath(path))
    files = [root for root in roots if not is_object(root)]
    return any(real.is_relative_to(os.path.realpath(root)) for root in files)
