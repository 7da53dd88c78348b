"""`captionq doctor`: is everything there that a run needs?"""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from jobs.settings import Settings

#: Bytes below which a model cannot be fetched and results may soon not be written.
LITTLE_DISK = 10_000_000_000


@click.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Check what captionq needs.

    Each line says ok, or what to do. Ends with 1 when something is wrong.

    \b
    Example:
      captionq doctor
    """
    from jobs.errors import CaptionqError
    from jobs.settings import read_settings

    settings = read_settings()
    checks: dict[str, Callable[[Settings], str]] = {
        "python": _python,
        "data folder": _data_folder,
        "mlx": _mlx,
        "broker": _broker,
        "database": _database,
        "worker": _worker,
        "model": _model,
        "disk": _disk,
    }
    healthy = True
    for name, check in checks.items():
        try:
            verdict, mark = check(settings), click.style("ok", fg="green")
        except (CaptionqError, OSError) as error:
            verdict, mark, healthy = str(error), click.style("!!", fg="red"), False
        click.echo(f"{mark}  {name:<12} {verdict}")
    ctx.exit(0 if healthy else 1)


def _python(_: Settings) -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"


def _data_folder(settings: Settings) -> str:
    settings.make_folders()
    probe = settings.data_dir / ".probe"
    probe.write_text("")
    probe.unlink()
    return str(settings.data_dir)


def _mlx(_: Settings) -> str:
    from worker.loader import device

    return device()


def _broker(settings: Settings) -> str:
    from jobs import broker

    running = broker.find(settings)
    if running is None:
        return f"none runs; captionq starts {broker.server_binary()} when it is needed"
    version = running.info("server").get("valkey_version") or running.info("server")["redis_version"]
    place = _without_password(settings.redis_url) if settings.redis_url else broker.socket_path(settings)
    return f"version {version} answers at {place}"


def _database(settings: Settings) -> str:
    from jobs.store import Store

    store = Store(settings)
    total = sum(store.counts().values())
    store.close()
    return f"{total} jobs in {_without_password(settings.database)}"


def _worker(settings: Settings) -> str:
    from worker.lock import is_running

    return (
        "runs" if is_running(settings) else "none runs; `captionq caption` brings its own, `captionq work` starts one"
    )


def _model(settings: Settings) -> str:
    from jobs.models import cache_dir, list_models

    if any(model.name == settings.model for model in list_models()):
        return f"{settings.model} is there"
    return f"{settings.model} will be fetched into {cache_dir()} when it is first used"


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:@/]*):[^@/]*@", r"\1:…@", url)


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.data_dir).free
    if free < LITTLE_DISK:
        raise OSError(f"only {free / 1e9:.1f} GB free for {settings.data_dir}; make room")
    return f"{free / 1e9:.0f} GB free"
