"""`captionq doctor`: checks of everything that a run needs."""

from __future__ import annotations

import platform
import secrets
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.typed_path import OutputFile

if TYPE_CHECKING:
    from redis import Redis

    from jobs.configuration.settings import Settings

    Check = Callable[[Settings], str]
    #: The name of a check, and the code of its error; None: it passed.
    CheckResult = tuple[str, str | None]

#: Free bytes below which a model cannot be downloaded, and results soon cannot be written.
LITTLE_DISK = 10_000_000_000


@click.command()
@click.option(
    "--report",
    type=OutputFile(),
    metavar="FILE",
    help="Also write a report that can be sent to others: versions, machine, limits, results, places of errors. It has no names "
    "of people, pictures or folders, and no keys.  [default: none]",
)
@click.pass_context
def doctor(ctx: click.Context, report: Path | None) -> None:
    """Check everything that captionq needs.

    Each line says ok, or how to mend the fault. The exit status is 1 if a check fails.

    \b
    Examples:
      captionq doctor
      captionq doctor --report report.json
    """
    from jobs.configuration.read_settings import read_settings
    from jobs.errors import SettingsError

    results: list[CheckResult] = []
    try:
        settings = read_settings()
    except SettingsError as error:
        if report is not None:
            _write(report, [("settings", error.code)], None)
        raise
    healthy = _check(settings, results)
    if report is not None:
        _write(report, results, settings)
    ctx.exit(0 if healthy else 1)


def _write(report: Path, results: list[CheckResult], settings: Settings | None) -> None:
    from cli.diagnosis.report import write_report

    write_report(report, results, settings)
    click.echo(f"The report is in {report}. Read it before you send it.", err=True)


def _check(settings: Settings, results: list[CheckResult]) -> bool:
    """Run all checks, and print and collect their results; return whether all of them passed."""
    checks: dict[str, Check] = {"python": _python, "settings": _settings, "mlx": _mlx, "model": _model}
    if settings.path_map:
        checks["path map"] = _path_map
    if settings.blob_url is not None:
        checks["uploads"] = _uploads
    healthy = _run(checks, settings, results)
    in_the_folder: dict[str, Check] = {"broker": _broker, "database": _database, "worker": _worker, "disk": _disk}
    if _run({"data folder": _data_folder}, settings, results):
        return _run(in_the_folder, settings, results) and healthy
    click.echo(f"--  {', '.join(in_the_folder)}: not checked, they need the data folder")
    return False


def _run(checks: dict[str, Check], settings: Settings, results: list[CheckResult]) -> bool:
    """Print a line for each check; return whether all of them passed."""
    from cli.output.fault_sentences import sentence_of
    from jobs.errors import CaptionqError
    from jobs.safe_text import safe_text

    healthy = True
    for name, check in checks.items():
        code = None
        try:
            verdict, mark = check(settings), click.style("ok", fg="green")
        except CaptionqError as error:
            verdict, mark, healthy, code = error.message, click.style("!!", fg="red"), False, error.code
        except Exception as error:
            code = type(error).__name__
            if (sentence := _in_words(error) if isinstance(error, OSError) else sentence_of(error)) is None:
                raise
            verdict, mark, healthy = sentence, click.style("!!", fg="red"), False
        results.append((name, code))
        click.echo(f"{mark}  {name:<12} {safe_text(verdict)}")
    return healthy


def _in_words(error: OSError) -> str:
    """Return the file that a system call failed on and the reason, without the error number."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _python(_: Settings) -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"


def _settings(settings: Settings) -> str:
    from jobs.configuration.read_settings import unknown_settings, variable_of
    from jobs.errors import SettingsError

    if unknown := unknown_settings():
        raise SettingsError(" ".join(unknown))
    variables = sorted(variable_of(field) for field in settings.model_fields_set)
    return f"set by {', '.join(variables)}" if variables else "all at their defaults"


def _data_folder(settings: Settings) -> str:
    settings.make_folders()
    probe = settings.data_dir / ".probe"
    probe.write_text("")
    probe.unlink()
    return str(settings.data_dir)


def _mlx(_: Settings) -> str:
    from worker.models.device import device_name

    return device_name()


def _broker(settings: Settings) -> str:
    """Register with the broker as a worker does at its start. Starts a broker if none runs."""
    from redis.exceptions import RedisError

    from jobs.errors import BrokerError
    from jobs.errors.broker_faults import broker_error
    from jobs.queue import broker
    from jobs.queue.broker_socket import place
    from worker.dispatch.queue_worker import QueueWorker

    running = broker.find_or_start(settings)
    try:
        QueueWorker(f"doctor-{secrets.token_hex(4)}", running.connection).register_and_leave()
        # rq's tasks run scripts, which a rule (ACL) of the server may forbid.
        running.connection.register_script("return 1")()
        version = _version(running.connection)
    except (RedisError, ValueError) as error:
        fault = broker_error(error, place(settings))
        if type(fault) is not BrokerError:
            raise fault from error
        raise BrokerError(f"No worker can start with the broker at {place(settings)}: {error}.") from error
    finally:
        running.stop()
    if running.process is None:
        return f"running: version {version} answers at {place(settings)}; workers can register"
    return f"not running; starts on demand (version {version}); workers can register"


def _version(connection: Redis) -> str:
    server = connection.info("server")
    return str(server.get("valkey_version") or server["redis_version"])


def _database(settings: Settings) -> str:
    from cli.output.plurals import counted
    from jobs.net.url_passwords import without_password
    from jobs.store.connection import check_content
    from jobs.store.store import Store

    store = Store(settings)
    try:
        check_content(store.engine, settings)
        total = sum(store.counts().values())
    finally:
        store.close()
    where = without_password(settings.database_url) if settings.database_url else settings.data_dir
    return f"{counted(total, 'job')} in {where}"


def _worker(settings: Settings) -> str:
    from cli.runs.processes.worker_health import worker_health

    return worker_health(settings)


def _model(settings: Settings) -> str:
    from jobs.models.hub import cache_dir
    from jobs.models.model_info import is_here

    if is_here(settings.model):
        return f"{settings.model} is ready to load"
    return f"{settings.model} is not here yet; it is downloaded to {cache_dir()} at its first use, or now: captionq models pull"


def _path_map(settings: Settings) -> str:
    from jobs.errors import SettingsError
    from jobs.images.reach import is_mounted

    if missing := [here for here in settings.path_map.values() if not is_mounted(Path(here))]:
        raise SettingsError(f"{', '.join(missing)}: missing or empty. Mount it, or change CAPTIONQ_PATH_MAP.")
    return ", ".join(f"{named} is {here} here" for named, here in settings.path_map.items())


def _uploads(settings: Settings) -> str:
    """List the place of the uploads: the folder may not be mounted, the bucket not be reached."""
    from jobs.objects.paths import is_object_address, object_path
    from jobs.objects.store import ObjectNotFoundError, list_folder

    assert settings.blob_url is not None
    if is_object_address(settings.blob_url):
        with suppress(ObjectNotFoundError):
            list_folder(object_path(settings.blob_url))
    else:
        next(Path(settings.blob_url).iterdir(), None)
    return settings.blob_url


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.data_dir).free
    if free < LITTLE_DISK:
        raise OSError(
            f"only {free / 1e9:.1f} GB free on {settings.data_dir}; free up at least {LITTLE_DISK / 1e9:.0f} GB"
        )
    return f"{free / 1e9:.0f} GB free"
