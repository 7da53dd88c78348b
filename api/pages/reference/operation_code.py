"""An operation as a command with curl, to copy."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

#: The name of a file in the place of an upload.
_FILE = "picture.jpg"


def operation_code(method: str, path: str, address: str, *, needs_key: bool, content: tuple[str, Any] | None) -> str:
    """Return the command; parameters of the path are variables of the shell, such as `$JOB_ID`.

    Args:
        address: the server's origin.
        content: the media type of the body, and its part of the OpenAPI document; None: the operation has no body.
    """
    named = re.sub(r"\{(\w+)\}", lambda found: f"${found[1].upper()}", path)
    url = f'"{address}{named}"' if named != path else shlex.quote(address + path)
    verb = [] if method == "get" or (method == "post" and content is not None) else ["-X", method.upper()]
    key = ['-H "Authorization: Bearer $CAPTIONQ_API_KEY"'] if needs_key else []
    options = [" ".join(["curl -sS", *verb, url]), *key]
    if content is None:
        return " \\\n  ".join(options)
    media_type, described = content
    if media_type == "application/json":
        body = json.dumps(described["example"], indent=2, ensure_ascii=False)
        options += ["-H 'Content-Type: application/json'", "--data-binary @- <<'JSON'"]
        return " \\\n  ".join(options) + f"\n{body}\nJSON"
    return " \\\n  ".join([*options, *_form_fields(described["schema"])])


def _form_fields(schema: Any) -> list[str]:
    required = {name: schema["properties"][name] for name in schema["required"]}
    return [f"-F {name}={field['enum'][0] if 'enum' in field else f'@{_FILE}'}" for name, field in required.items()]
