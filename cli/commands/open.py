"""`captionq open`: the page of a running server, in the browser."""

from __future__ import annotations

import click

from cli.completions import complete_batch


@click.command("open")
@click.argument("run", required=False, shell_complete=complete_batch)
@click.option(
    "--url",
    default="http://127.0.0.1:8484",
    show_default=True,
    help="Address of the server, as captionq serve prints it.",
)
def open_page(run: str | None, url: str) -> None:
    """Open the page of captionq serve in the browser.

    The page shows the runs and their captions, live. RUN is the batch that the summary of a run names: the page opens there.

    \b
    Examples:
      captionq open
      captionq open batch_1a206df4dbf2953a72664
      captionq open --url http://127.0.0.1:9000
    """
    from cli.runs.page_address import page_address

    address = page_address(url, run)
    click.echo(address)
    if click.launch(address) != 0:
        click.echo("No browser could be started. Open the address above.", err=True)
