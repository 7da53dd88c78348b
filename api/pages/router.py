"""All routes of the page."""

from __future__ import annotations

from fastapi import APIRouter

from api.pages import login, run_page, static_files
from api.pages.chat import chat_page
from api.pages.overview import overview_page
from api.pages.pictures import comparison_page, export, picture_files, picture_page
from api.pages.reference import reference_page
from api.pages.start import start_page

router = APIRouter()
_pages = (
    static_files,
    login,
    overview_page,
    run_page,
    comparison_page,
    export,
    picture_page,
    picture_files,
    start_page,
    chat_page,
    reference_page,
)
for _module in _pages:
    router.include_router(_module.router)
