"""All routes of the page."""

from __future__ import annotations

from fastapi import APIRouter

from api.pages import login, overview, run_page, static_files
from api.pages.chat import chat_page
from api.pages.pictures import picture_files, picture_page
from api.pages.reference import reference_page

router = APIRouter()
for _module in (static_files, login, overview, run_page, picture_page, picture_files, chat_page, reference_page):
    router.include_router(_module.router)
