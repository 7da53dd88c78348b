"""The objects that the page holds beside those of the API."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Self

from fastapi import Depends, Request

from api.pages.overview.batch_history import BatchHistory
from api.pages.pictures.picture_order import PictureOrders
from api.pages.pictures.thumbnails import Thumbnails
from api.pages.run_state import RunStates
from api.runtime.resources import Resources


@dataclass(frozen=True)
class PageState:
    """The objects that routes of the page use."""

    runs: RunStates
    history: BatchHistory
    orders: PictureOrders
    thumbnails: Thumbnails
    #: Pictures that are scaled at a time.
    decoding: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    #: Uploaded files that are received at a time.
    uploading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(6))

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Make the objects for an API that begins to run. `start` and `close` enclose its run."""
        store = resources.store
        history = BatchHistory(resources.workers, resources.activity)
        return cls(RunStates(store), history, PictureOrders(store), Thumbnails(resources.settings))

    def start(self) -> None:
        self.history.start()

    def close(self) -> None:
        self.history.close()


def get_page_state(request: Request) -> PageState:
    """Return the objects that the lifespan made."""
    state: PageState = request.app.state.page
    return state


PageStateDep = Annotated[PageState, Depends(get_page_state)]
