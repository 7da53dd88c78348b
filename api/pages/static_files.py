"""Scripts and styles of the page, under names that hold their hash: browsers keep each version for good."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from api.errors.translation import not_found

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent / "static"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


@cache
def static_files() -> dict[str, tuple[str, bytes]]:
    """Return the name of each file with its hash, and its content, by the file's own name."""
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        content = path.read_bytes()
        found[path.name] = f"{path.stem}.{hashlib.sha256(content).hexdigest()[:12]}{path.suffix}", content
    return found


def static_url(name: str) -> str:
    """Return the address of a static file."""
    return f"/static/{static_files()[name][0]}"


@router.get("/static/{name}")
async def get_static_file(name: str) -> Response:
    """Get a script, a style or an icon of the page. Raises NotFoundError."""
    for hashed, content in static_files().values():
        if name == hashed:
            return Response(content, media_type=_MEDIA_TYPES[Path(name).suffix], headers=_HEADERS)
    raise not_found("file", name[:200])
