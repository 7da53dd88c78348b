"""`captionq undo`: the files of a run, taken back."""

from __future__ import annotations

import click

from cli.completions import complete_run
from cli.open_store import open_store


@click.command()
@click.argument("run", metavar="RUN|last", shell_complete=complete_run)
@click.pass_context
def undo(ctx: click.Context, run: str) -> None:
    """Take back the files of a caption run.

    Files that the run made are removed, and files that it changed get their content back: texts, JSON files, sidecars and
    images with embedded captions. A file that was changed since the run stays as it is, and is named. The answers stay in the
    database. `last` is the newest run that changed files; `captionq jobs batches` lists the runs.

    \b
    Examples:
      captionq undo last
      captionq undo batch_1a206df4dbf2953a72664
    """
    from cli.exit_status import SOME_FAILED
    from cli.output.plurals import counted
    from jobs.captions.undo import undo_run
    from jobs.safe_text import safe_text
    from jobs.store.written.written_files import WrittenFiles

    with open_store() as store:
        chosen = WrittenFiles(store.engine).newest_run() if run == "last" else run
        if chosen is None:
            click.echo("Nothing to undo: no run has changed files.")
            return
        undone = undo_run(chosen, store)
    kept = undone.left | undone.failed
    if not (undone.removed or undone.restored or kept):
        click.echo(safe_text(f"Nothing to undo: {chosen} has changed no files, or was undone."))
        return
    stay = f", {len(kept)} left" if kept else ""
    click.echo(f"{chosen}: {counted(undone.removed, 'file')} removed, {undone.restored} brought back{stay}")
    for path, reason in kept.items():
        click.echo(safe_text(f"  {path}: {reason}"))
    ctx.exit(SOME_FAILED if kept else 0)
