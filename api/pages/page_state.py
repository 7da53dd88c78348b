"""The objects that the page holds beside those of the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.pages.run_state import RunStates


@dataclass(frozen=True)
class PageState:
    """The objects that routes of the page use."""

    runs: RunStates


def get_page_state(request: Request) -> PageState:
    """Return the objects that the lifespan made."""
    state: PageState = request.app.state.page
    return state


PageStateDep = Annotated[PageState, Depends(get_page_state)]
