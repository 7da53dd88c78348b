"""Values that shells complete. A shell waits for each list, so the database is asked without SQLAlchemy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

#: Newest runs that are offered.
RUNS = 20
#: Beginnings of a word that is a path of a model.
_PATHS = ("/", "~", ".")


def complete_model(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the built-in models and those of the Hugging Face cache; folders for a word that is a path."""
    from click.shell_completion import CompletionItem

    from jobs.models.hub import cached_names

    if incomplete.startswith(_PATHS):
        return [CompletionItem(incomplete, type="dir")]
    names = ["demo", *cached_names()]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_preset(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the presets, the user's own too."""
    from click.shell_completion import CompletionItem

    from jobs.errors import SettingsError
    from jobs.options.prompts.presets import BUILT_IN, all_presets
    from jobs.safe_text import safe_text

    try:
        found = all_presets()
    except SettingsError:
        found = BUILT_IN
    return [
        CompletionItem(name, help=safe_text(preset.prompt))
        for name, preset in found.items()
        if name.startswith(incomplete)
    ]


def complete_batch(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the newest runs of the data folder's database, each with its description."""
    from click.shell_completion import CompletionItem

    from jobs.safe_text import safe_text
    from jobs.store.queries.run_ids import newest_runs

    found = newest_runs(RUNS)
    return [CompletionItem(run, help=safe_text(text)) for run, text in found.items() if run.startswith(incomplete)]


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the newest runs, and the word for the newest of all."""
    from click.shell_completion import CompletionItem

    newest = [CompletionItem("last", help="the newest run")] if "last".startswith(incomplete) else []
    return newest + complete_batch(ctx, param, incomplete)
