"""`captionq service`: the server as a service of launchd or systemd."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.commands.serve import serve
from cli.exit_status import SOME_FAILED
from cli.options import format_option

if TYPE_CHECKING:
    from cli.service.definition import ServiceDefinition
    from jobs.configuration.settings import Settings

#: Options of `captionq serve` that a service has by itself.
_OWN = ("quiet", "log_json")
_SERVE_OPTIONS = [param for param in serve.params if isinstance(param, click.Option) and param.name not in _OWN]
#: Privacy of macOS: what a server that was started from a terminal may read, the service may not read by itself.
_PRIVACY = (
    "macOS asks at the first picture in Pictures, Documents, Desktop, Downloads or another disk whether Python may read there. "
    "Later: System Settings > Privacy & Security > Files and Folders."
)
_LINGER = "It runs while you are logged in. To let it run always: loginctl enable-linger"


@click.group()
def service() -> None:
    """Run captionq serve in the background, from every login on.

    The service is an agent of launchd on macOS, and a user unit of systemd on Linux.

    \b
    Examples:
      captionq service install --allow-root ~/Pictures
      captionq service status
      captionq service logs --follow
      captionq service uninstall
    """


@service.command(params=[*_SERVE_OPTIONS])
@click.option("--print", "shown", is_flag=True, help="Print the file, and change nothing.")
@click.option(
    "--platform",
    type=click.Choice(["macos", "linux"]),
    help="With --print: the platform of the file.  [default: this one]",
)
@click.option(
    "--quick-action",
    is_flag=True,
    help="Instead of the service: install a quick action of Finder (macOS) that captions the selected files and folders.",
)
def install(shown: bool, platform: str | None, quick_action: bool, **options: Any) -> None:
    """Install the service and start it, in place of an older one.

    The settings of the shell (CAPTIONQ_*, HF_HOME and their like) are written into the service's file, except for secrets:
    those belong into the configuration file (captionq config edit).

    \b
    Examples:
      captionq service install
      captionq service install --allow-root ~/Pictures --ollama-port 11434
      captionq service install --print --platform macos
      captionq service install --quick-action
    """
    if quick_action:
        _install_quick_action(shown=shown)
        return
    if platform is not None and not shown:
        raise click.UsageError("--platform goes with --print: a service is installed on this machine only.")
    if options["port"] == 0:
        raise click.UsageError("--port: a service needs a port that stays the same.")
    from cli.service.installation import PLATFORMS, manager_of
    from cli.service.installation import install as install_service

    manager = manager_of(PLATFORMS[platform]) if platform else manager_of()
    definition, settings = _definition(options)
    if shown:
        click.echo(manager.render(definition), nl=False)
        return
    install_service(manager, definition, settings, (options["host"], options["port"]))
    click.echo(f"captionq serves at {definition.url}/v1, from every login on. Its file: {manager.file}")
    click.echo(_PRIVACY if manager.name == "launchd" else _LINGER, err=True)


def _install_quick_action(*, shown: bool) -> None:
    """Install the quick action, or print its script. Raises ServiceError."""
    from cli.service import quick_action
    from cli.service.definition import caption_command
    from jobs.configuration.read_settings import read_settings

    text = quick_action.script(*caption_command(read_settings()))
    if shown:
        click.echo(text, nl=False)
        return
    if sys.platform != "darwin":
        raise click.UsageError("Quick actions belong to Finder: this machine has none. --print shows the script.")
    folder = quick_action.place(Path.home())
    quick_action.install(folder, text)
    click.echo(f"In Finder: select pictures or folders, then Quick Actions > {quick_action.NAME}. Its files: {folder}")


@service.command()
@click.option("--quick-action", is_flag=True, help="Instead of the service: remove the quick action of Finder.")
def uninstall(quick_action: bool) -> None:
    """Stop the service, and remove its file. Jobs, texts and models stay.

    \b
    Examples:
      captionq service uninstall
      captionq service uninstall --quick-action
    """
    from cli.service import quick_action as action
    from cli.service.installation import manager_of
    from cli.service.installation import uninstall as uninstall_service

    if quick_action:
        removed = action.uninstall(action.place(Path.home()))
        click.echo("The quick action is gone." if removed else "The quick action is not installed.")
        return
    if uninstall_service(manager_of()):
        click.echo("The service is gone. Jobs, texts and models stay.")
    else:
        click.echo("The service is not installed.")


@service.command()
@format_option("json: one object.")
@click.pass_context
def status(ctx: click.Context, output_format: str) -> None:
    """Say whether the service runs and answers. The exit status is 1 if it does not.

    \b
    Example:
      captionq service status
    """
    from cli.service.installation import answers, manager_of

    manager = manager_of()
    manager.check()
    state = manager.state()
    answering = state.url is not None and answers(state.url)
    if output_format == "json":
        found = {"installed": state.installed, "pid": state.pid, "url": state.url, "answers": answering}
        click.echo(json.dumps(found | {"last_exit_status": state.last_exit, "file": str(manager.file)}))
    elif not state.installed:
        click.echo("The service is not installed. Install it with: captionq service install")
    elif state.pid is None:
        ended = "" if state.last_exit is None else f" It ended with status {state.last_exit}."
        click.echo(f"The service is installed, and not running.{ended} See: captionq service logs")
    else:
        verb = "answers" if answering else "does not answer yet"
        click.echo(f"The service runs (PID {state.pid}) and {verb} at {state.url}.")
    if not answering or state.pid is None:
        ctx.exit(SOME_FAILED)


@service.command()
@click.option("-n", "--lines", type=click.IntRange(0), default=20, show_default=True, help="Last lines of each log.")
@click.option("-f", "--follow", "followed", is_flag=True, help="Go on with new lines until Ctrl-C.")
def logs(lines: int, followed: bool) -> None:
    """Show the logs of the server and its worker.

    They lie in the folder logs of the data folder. A log that has reached 10 MB is put aside, and replaces the one that was
    put aside before.

    \b
    Examples:
      captionq service logs
      captionq service logs -n 100 --follow
    """
    from cli.service.definition import error_file
    from cli.service.log_tail import follow, last_lines
    from jobs.configuration.read_settings import read_settings

    settings = read_settings()
    files = [error_file(settings), settings.log_dir / "worker.log", settings.log_dir / "serve.log"]
    shown = None
    for file in files:
        for line in last_lines(file, lines):
            shown = _echo_under(file.name, line, shown)
    if shown is None and not followed:
        click.echo(f"There are no logs in {settings.log_dir} yet.", err=True)
    for file, line in follow(files) if followed else ():
        shown = _echo_under(file.name, line, shown)


def _echo_under(name: str, line: str, shown: str | None) -> str:
    """Print a line, below the name of its file unless that was shown last; return the name."""
    if name != shown:
        click.echo(f"==> {name} <==")
    click.echo(line)
    return name


def _definition(options: dict[str, Any]) -> tuple[ServiceDefinition, Settings]:
    """Check the options as `captionq serve` does, and make the definition. Raises SettingsError."""
    from cli.runs.processes.serve_process import check_address
    from cli.service.definition import define
    from jobs.configuration.read_settings import read_settings

    settings = read_settings(**({"allowed_origins": options["origins"]} if options["origins"] else {}))
    check_address(options["host"], settings)
    return define(settings, _typed(options), host=options["host"], port=options["port"]), settings


def _typed(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the options as they are typed after `captionq serve`, those with their defaults left out."""
    words: list[str] = []
    for option in _SERVE_OPTIONS:
        value, flag = options[option.name or ""], option.opts[0]
        if option.is_flag:
            words += [flag] * bool(value)
        elif value is not None and value != option.default:
            words += [word for one in (value if option.multiple else [value]) for word in (flag, str(one))]
    return tuple(words)
