"""`captionq mcp`: an MCP server over standard input and output."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from cli.options import model_option
from cli.typed_path import TypedPath


@click.command()
@click.option(
    "--allow-root",
    "roots",
    multiple=True,
    metavar="DIR",
    type=TypedPath(exists=True, file_okay=False, resolve_path=True),
    help="Let the client name and find pictures below this folder; may be repeated.  [default: CAPTIONQ_SERVED_ROOTS]",
)
@model_option
def mcp(roots: tuple[Path, ...], model: str | None) -> None:
    """Serve tools to programs that speak the Model Context Protocol (MCP).

    The client starts this command and talks with it over standard input and output. Tools: caption, ask, search_captions and
    batch_status. They see the folders of --allow-root only, and write no files. The extra `mcp` is needed.

    \b
    Example:
      captionq mcp --allow-root ~/Pictures
    """
    from jobs.configuration.read_settings import read_settings
    from jobs.errors import MissingToolError
    from jobs.errors.install_commands import command_for_extra
    from jobs.logging_setup import set_up_logging

    settings = read_settings()
    served = roots or settings.served_roots
    if not served:
        raise click.UsageError("Name the folders that the client may see: captionq mcp --allow-root ~/Pictures")
    try:
        from cli.mcp.server import make_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise MissingToolError(f"captionq mcp needs an extra: {command_for_extra('mcp')}") from error
    from cli.mcp.served_files import ServedFiles
    from cli.mcp.tools import CaptionTools
    from cli.named_paths import named_model
    from jobs.store.store import Store

    settings = settings.model_copy(update={"model": named_model(model or settings.model, None)})
    # Standard output is the protocol's.
    set_up_logging(settings, "mcp.log", to_terminal=False)
    with closing(Store(settings)) as store, closing(CaptionTools(settings, ServedFiles(served), store)) as tools:
        make_server(tools).run()
