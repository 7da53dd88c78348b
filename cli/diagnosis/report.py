"""The report as a whole."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlmodel import SQLModel

from cli.diagnosis.machine_facts import limits, machine, versions
from cli.diagnosis.traces import tracebacks
from cli.models.details import details_of
from jobs.configuration.settings import DEFAULT_MODEL, Settings
from jobs.errors import ModelError, SettingsError
from jobs.models.hub import cache_dir
from jobs.models.model_info import built_in_models, describe, is_here
from jobs.models.recommended import MODELS
from jobs.store.connection import reading
from jobs.store.store import Store

#: The version of the report's form.
FORM = 1
#: Models whose names everybody knows. Any other name may be a private one.
_KNOWN_MODELS = {DEFAULT_MODEL, *built_in_models(), *(model.name for model in MODELS)}
_CODE = re.compile(r"[a-z_]{1,60}")
_FAMILY = re.compile(r"[a-z0-9_.-]{1,40}")
_LOGS = ("worker.log", "serve.log", "mcp.log", "service.err", "worker.out")
_job = SQLModel.metadata.tables["job"]


def write_report(path: Path, results: Sequence[tuple[str, str | None]], settings: Settings | None) -> None:
    """Write the report into a new file. Raises SettingsError if there is a file.

    Args:
        path: of the report.
        results: each check's name, and the code of its error or the class of another; None: the check passed.
        settings: None if they cannot be read.
    """
    report: dict[str, Any] = {
        "report": FORM,
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": versions(),
        "machine": machine(),
        "checks": [{"check": name, "passed": code is None, "code": code} for name, code in results],
    }
    if settings is not None:
        report |= {
            "limits": limits(settings.data_dir, cache_dir()),
            "settings": _settings(settings),
            "model": _model(settings),
            "tracebacks": {name: found for name in _LOGS if (found := tracebacks(settings.log_dir / name))},
        }
        if ("database", None) in results:
            report["jobs"] = _jobs(settings)
    try:
        with path.open("x") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    except FileExistsError:
        raise SettingsError(f"{path} exists. Choose another name for the report.") from None


def _settings(settings: Settings) -> Mapping[str, object]:
    """Return the settings that were set: numbers with their values, all others by their names."""
    values = {name: getattr(settings, name) for name in sorted(settings.model_fields_set)}
    shown = ("memory_budget",)  # a number with a unit, by its own check
    return {name: value if isinstance(value, int | float) or name in shown else "set" for name, value in values.items()}


def _model(settings: Settings) -> Mapping[str, object]:
    name = settings.model
    found: dict[str, object] = {"name": name if name in _KNOWN_MODELS else "another", "here": is_here(name)}
    if not found["here"]:
        return found
    try:
        model = details_of(describe(name), settings)
    except ModelError as error:
        return found | {"error": error.code}
    return found | {
        "family": model.family if _FAMILY.fullmatch(model.family or "") else None,
        "modality": model.info.modality,
        "bits": model.bits if isinstance(model.bits, int) else None,
        "bytes": model.weights,
        "context": model.info.context_length,
        "sequences": model.sequences,
        "batching": model.verdict.batching if model.verdict else None,
        "one_image": model.verdict.one_image if model.verdict else None,
    }


def _jobs(settings: Settings) -> Mapping[str, object]:
    """Count the jobs by status, and the errors by code."""
    store = Store(settings)
    try:
        counts = {str(status): count for status, count in store.counts().items()}
        query = (
            select(_job.c.error_code, func.count()).where(_job.c.error_code.is_not(None)).group_by(_job.c.error_code)
        )
        with reading(store.engine) as connection:
            errors = {code: count for code, count in connection.execute(query) if _CODE.fullmatch(code)}
        return {"database": store.engine.dialect.name, "by_status": counts, "errors": errors}
    finally:
        store.close()
