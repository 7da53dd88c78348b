"""All routes of the page."""

from __future__ import annotations

from fastapi import APIRouter

from api.pages import login, run_page, static_files
from api.pages.overview import overview_page
from api.pages.pictures import picture_files, picture_page

router = APIRouter()
for _module in (static_files, login, overview_page, run_page, picture_page, picture_files):
    router.include_router(_module.router)
