"""mkdocs' hooks: pages that are generated when the site is built, and their places in the navigation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from tools.site.api_pages import api_pages
from tools.site.command_pages import command_pages
from tools.site.root_pages import root_pages

#: Generated pages by their addresses in the site, in the order of their places in the navigation.
_generated: dict[str, str] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Render the pages, and put those of a folder into the place of `folder/*` in the navigation."""
    _generated.update(command_pages() | api_pages() | root_pages())
    config.nav = list(_unfolded(config.nav or []))
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for address, content in _generated.items():
        files.append(File.generated(config, address, content=content))
    return files


def _unfolded(items: list[Any]) -> Iterator[Any]:
    for item in items:
        if isinstance(item, dict):
            yield {title: list(_unfolded(below)) if isinstance(below, list) else below for title, below in item.items()}
        elif item.endswith("/*"):
            yield from (page for page in _generated if page.startswith(item[:-1]) and page.endswith(".md"))
        else:
            yield item
