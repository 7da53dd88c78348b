"""`/docs`: the reference of the API, a page a tag. It needs no key, as `/openapi.json`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.errors.translation import not_found
from api.pages.page_route import PageRoute
from api.pages.reference.document_view import DocumentView
from api.pages.templates import page
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/docs")
def show_contents(request: Request, resources: ResourcesDep) -> Response:
    """Show all operations by their tags, and how they are called."""
    view = _view(request, resources)
    return page("reference/contents.html", view=view, chapters=view.chapters(), address=_address(request))


@router.get("/docs/{tag}")
def show_chapter(tag: Annotated[str, Path(max_length=64)], request: Request, resources: ResourcesDep) -> Response:
    """Show the operations of one tag. Raises NotFoundError."""
    view = _view(request, resources)
    chapter = view.chapter(tag)
    if chapter is None:
        raise not_found("chapter of the API", tag)
    return page("reference/chapter.html", view=view, chapter=chapter)


def _view(request: Request, resources: Resources) -> DocumentView:
    return DocumentView(request.app.openapi(), _address(request), needs_key=bool(resources.settings.api_keys))


def _address(request: Request) -> str:
    return str(request.base_url).rstrip("/")
