"""The check of a command's model before anything is queued for it."""

from __future__ import annotations

from collections.abc import Callable

from jobs.models.model_info import check_sees, describe
from worker.models.download import fetch


def check_model(name: str, note: Callable[[str], None]) -> None:
    """Refuse a model that cannot see; download a missing one here, with visible progress. Raises ModelError.

    `note` is called with a sentence for the person.
    """
    model = describe(name)
    check_sees(model)
    if model.path is None:
        fetch(model.name)
    if model.name == "demo":
        note("The model 'demo' knows coloured shapes only. For photographs use --model.")
