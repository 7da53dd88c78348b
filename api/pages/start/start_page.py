"""`/start`: a new run, from pictures that are uploaded or lie in a served folder."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api.errors.body import detail_of
from api.errors.translation import translate_error
from api.intake.folders import FolderIntake
from api.middleware.api_keys import Caller, CallerDep
from api.pages.page_route import PageRoute
from api.pages.start import samples, uploads
from api.pages.start.folder_browser import FolderView, view_folder
from api.pages.start.option_fields import MAIN, OptionField, option_fields
from api.pages.start.sources import pictures_of, title_of
from api.pages.start.start_form import StartForm, in_words, wrong_options
from api.pages.templates import page
from api.runtime.dependencies import ResourcesDep
from api.runtime.resources import Resources
from api.schemas.folder import FolderBody
from jobs.creation.idempotency import find_batch
from jobs.errors import CaptionqError, ConflictError
from jobs.images.stored.upload_tray import UploadTray
from jobs.images.walking.folder_walk import image_extensions
from jobs.models.model_info import public_name
from jobs.options.answers.languages import known_languages
from jobs.options.prompts.presets import DEFAULT_PRESET, all_presets

router = APIRouter(include_in_schema=False)
_pages = APIRouter(include_in_schema=False, route_class=PageRoute)

Folder = Annotated[str | None, Query(max_length=16_384)]


@_pages.get("/start")
def show_start(resources: ResourcesDep, caller: CallerDep, folder: Folder = None) -> Response:
    """Show the form of a new run. `folder`: the served folder that is open."""
    # A folder that cannot be opened is told in the page's place for folders.
    return _show(StartForm.new(folder or "", is_upload=folder is None), resources, caller)


@_pages.get("/start/folders")
def show_folders(resources: ResourcesDep, caller: CallerDep, folder: Folder = None) -> Response:
    """Show a served folder: the part of the page that changes when another folder is opened."""
    view, problem = _opened(folder or "", resources)
    return page("parts/folders.html", view=view, problem=problem, has_roots=bool(resources.settings.served_roots))


@_pages.post("/start")
async def start(request: Request, resources: ResourcesDep, caller: CallerDep) -> Response:
    """Begin the run, and lead to it. A form that cannot be used is shown again, as it was typed, with the reason."""
    form = StartForm.of(await request.form())
    return await run_in_threadpool(_start, form, resources, caller)


def _start(form: StartForm, resources: Resources, caller: Caller) -> Response:
    try:
        return RedirectResponse(f"/runs/{_made(form, resources, caller)}", 303)
    except ValidationError as error:
        return _show(form, resources, caller, wrong=wrong_options(error), status=400)
    except (CaptionqError, RedisError, SQLAlchemyError) as error:
        known = translate_error(error)
        return _show(form, resources, caller, wrong={"": detail_of(known).message}, status=known.status)


def _made(form: StartForm, resources: Resources, caller: Caller) -> str:
    """Make the run, or find the one that the same form has made; return its id. Raises CaptionqError, ValidationError."""
    body = form.body()
    intake = FolderIntake(body, resources, caller, form.key(body))
    try:
        if isinstance(body, FolderBody):
            return intake.queue_path(body, may_be_empty=False).made.id
        pictures = pictures_of(UploadTray(caller.name, form.tray, resources.settings))
        return intake.queue_stored(pictures, title_of(pictures)).made.id
    except ConflictError:
        # The second click of a double click: the first one's run is being queued.
        earlier = find_batch(resources.store, intake.key or "")
        if earlier is None:
            raise
        return earlier.id


def _show(
    form: StartForm, resources: Resources, caller: Caller, *, wrong: dict[str, str] | None = None, status: int = 200
) -> Response:
    settings, wrong, fields = resources.settings, wrong or {}, option_fields()
    view, problem = _opened(form.folder, resources)
    more = [one for one in fields.values() if one.name not in MAIN]
    return page(
        "start.html",
        status=status,
        form=form,
        main=[fields[name] for name in MAIN],
        more=_by_section(more),
        is_more_open=any(one.name in wrong or form.is_changed(one) for one in more),
        choices=_choices(resources),
        prompts={name: preset.prompt for name, preset in all_presets().items()},
        languages=known_languages(),
        wrong=wrong,
        problem_words=in_words(wrong),
        uploaded=UploadTray(caller.name, form.tray, settings).totals,
        view=view,
        problem=problem,
        has_roots=bool(settings.served_roots),
        endings=" ".join(sorted(image_extensions())),
        has_worker=_has_worker(resources),
        most_megabytes=settings.max_upload_bytes // 1_000_000,
        most_files=settings.max_upload_files,
    )


def _opened(folder: str, resources: Resources) -> tuple[FolderView | None, str | None]:
    """Return the open folder; or the sentence that says why it cannot be opened."""
    if not resources.settings.served_roots:
        return None, None
    try:
        return view_folder(folder, resources.settings), None
    except CaptionqError as error:
        return None, detail_of(error).message


def _by_section(fields: list[OptionField]) -> dict[str, list[OptionField]]:
    sections: dict[str, list[OptionField]] = {}
    for one in fields:
        sections.setdefault(one.section, []).append(one)
    return sections


def _choices(resources: Resources) -> dict[str, dict[str, Any]]:
    """Return the values of the choices that depend on the server, with their words."""
    models = resources.catalogue.models()
    default = public_name(resources.settings.model)
    others = {name: name for name, info in models.items() if info.modality == "vision" and name != default}
    presets = {name: name for name in all_presets() if name != DEFAULT_PRESET}
    return {"model": {"": default, **others}, "preset": {"": DEFAULT_PRESET, **presets}}


def _has_worker(resources: Resources) -> bool:
    try:
        return bool(resources.workers())
    except RedisError:
        return False


for _module in (samples, uploads):
    router.include_router(_module.router)
router.include_router(_pages)
