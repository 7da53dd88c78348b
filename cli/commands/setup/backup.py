"""`captionq backup` and `captionq restore`: the data folder in one file, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cli.typed_path import TypedPath

_FILE = TypedPath(dir_okay=False, resolve_path=True)


@click.command()
@click.argument("path", type=_FILE)
def backup(path: Path) -> None:
    """Write all rows, uploads and the configuration into one file.

    captionq may run meanwhile: the backup holds the rows of one moment. Pictures and text files are not part of it, and models
    neither.

    \b
    Example:
      captionq backup ~/captionq-2026-11.tar
    """
    from cli.output.byte_progress import byte_progress
    from cli.output.plurals import counted
    from jobs.backups.backup import back_up, blob_bytes
    from jobs.configuration.read_settings import read_settings

    settings = read_settings()
    with byte_progress("Copying uploads", blob_bytes(settings)) as advance:
        manifest = back_up(settings, path, advance=advance)
    size = path.stat().st_size
    click.echo(
        f"{path}: {counted(manifest.jobs, 'job')}, {size / 1e6:.1f} MB. Bring it back with: captionq restore PATH"
    )


@click.command()
@click.argument("path", type=TypedPath(dir_okay=False, exists=True, resolve_path=True))
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(path: Path, *, yes: bool) -> None:
    """Bring the rows and uploads of a backup back.

    PATH is a file that `captionq backup` wrote, or the copy of a database that an update of captionq left beside it
    (captionq.db.before-0020).

    The backup's rows replace the present ones, and its uploads are added. The present database is kept beside the new one,
    under a name with the date. No process of captionq may run. Jobs that waited when the backup was made wait again.

    \b
    Examples:
      captionq restore ~/captionq-2026-11.tar
      captionq restore ~/.local/share/captionq/captionq.db.before-0020
    """
    from cli.output.plurals import counted
    from jobs.backups.restore import read_manifest
    from jobs.backups.restore import restore as bring_back
    from jobs.configuration.config_file import config_path
    from jobs.configuration.read_settings import read_settings

    settings, manifest = read_settings(), read_manifest(path)
    made_at = datetime.fromtimestamp(manifest.made_at, UTC).astimezone()
    by = f" by captionq {manifest.captionq}" if manifest.captionq else ""
    made = f"{counted(manifest.jobs, 'job')}, made on {made_at:%Y-%m-%d %H:%M}{by}"
    if not yes:
        click.confirm(f"Replace all rows in {settings.data_dir} by those of the backup ({made})?", abort=True)
    done = bring_back(settings, path)
    click.echo(f"Restored {made}, and {counted(done.blobs, 'upload')}.")
    if done.set_aside is not None:
        click.echo(f"The database that was there is now {done.set_aside}. Delete it when all is well.")
    if done.has_config:
        click.echo(f"The configuration file is there again: {config_path()}")
    if done.other_config:
        click.echo("The configuration file stays as it is; the backup's is another one.")
