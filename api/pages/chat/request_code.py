"""The request of a conversation as code to copy: curl in a POSIX shell, and Python with OpenAI's client.

Pictures are read from files of their names in the working directory. Texts, and names of files, are from strangers: quoted
for the language that they stand in, with every character that does not print escaped or replaced, so that pasting the code
into a terminal runs nothing else.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.wire import MAX_LIST_ITEMS, Wire

#: Characters of a line up to which a list or an object stays on one line.
_WIDTH = 88


class CodeText(Wire):
    """A part of a message that is text."""

    type: Literal["text"]
    text: str


class CodePicture(Wire):
    """A part of a message that is a picture: the name of its file, and its media type."""

    type: Literal["picture"]
    name: Annotated[str, Field(min_length=1, max_length=1000)]
    media_type: Annotated[str, Field(max_length=100, pattern=r"^[\w.+-]+/[\w.+-]+$")]


class CodeMessage(Wire):
    """A message of the conversation."""

    role: Literal["system", "user", "assistant"]
    content: str | Annotated[list[CodeText | CodePicture], Field(max_length=MAX_LIST_ITEMS)]


class CodeRequest(Wire):
    """A request as the chat page sends it, with the names of pictures in the place of their bytes."""

    model: str
    messages: Annotated[list[CodeMessage], Field(max_length=MAX_LIST_ITEMS)]
    temperature: float | None = None
    max_tokens: int | None = None
    enable_thinking: bool | None = None


@dataclass(frozen=True)
class _Picture:
    """A picture of the code: its number, its file, and its media type."""

    number: int
    file: str
    media_type: str


@dataclass(frozen=True)
class _Syntax:
    """How values are written in a language."""

    #: Writes a string, a number or a picture.
    scalar: Callable[[Any], str]
    indent: int
    #: The end of the last item of a list whose items have lines of their own.
    last: str


def curl_code(request: CodeRequest, address: str, *, needs_key: bool) -> str:
    """Return the request for a POSIX shell; `address`: the server's origin."""
    fields, pictures = _fields(request)
    # The base64 of a picture is too long for an argument, so the body comes from a here-document.
    reads = [f"picture_{one.number}=$(base64 < {shlex.quote(one.file)} | tr -d '\\n')" for one in pictures]
    key = ['-H "Authorization: Bearer $CAPTIONQ_API_KEY"'] if needs_key else []
    options = [shlex.quote(f"{address}/v1/chat/completions"), *key, "-H 'Content-Type: application/json'"]
    command = "curl -sS " + " \\\n  ".join([*options, "--data-binary @- <<JSON"])
    return "\n".join([*reads, command, _laid_out(fields, _SHELL), "JSON", ""])


def python_code(request: CodeRequest, address: str, *, needs_key: bool) -> str:
    """Return the request for Python with the package openai; `address`: the server's origin."""
    fields, pictures = _fields(request)
    if (thinks := fields.pop("enable_thinking", None)) is not None:
        fields["extra_body"] = {"enable_thinking": thinks}
    imports = [*(["import base64"] if pictures else []), *(["import os"] if needs_key else [])]
    imports += ["from pathlib import Path"] if pictures else []
    key = 'os.environ["CAPTIONQ_API_KEY"]' if needs_key else '"none"'
    lines = [*imports, "", "from openai import OpenAI", ""] if imports else ["from openai import OpenAI", ""]
    if pictures:
        lines += [
            "",
            "def picture(file, media_type):",
            "    data = base64.b64encode(Path(file).read_bytes()).decode()",
            '    return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}',
            "",
            "",
        ]
    arguments = [f"    {name}={_laid_out(value, _PYTHON, _PYTHON.indent)}," for name, value in fields.items()]
    return "\n".join(
        [
            *lines,
            f"client = OpenAI(base_url={_python(f'{address}/v1')}, api_key={key})",
            "answer = client.chat.completions.create(",
            *arguments,
            ")",
            "print(answer.choices[0].message.content)",
            "",
        ]
    )


def _fields(request: CodeRequest) -> tuple[dict[str, Any], list[_Picture]]:
    """Return the fields of the request, and its pictures in their order."""
    names = _file_names([part for message in request.messages for part in _pictures_of(message)])
    pictures: list[_Picture] = []

    def part(one: CodeText | CodePicture) -> Any:
        if isinstance(one, CodeText):
            return {"type": "text", "text": one.text}
        pictures.append(_Picture(len(pictures) + 1, next(names), one.media_type))
        return pictures[-1]

    messages = [
        {
            "role": message.role,
            "content": message.content if isinstance(message.content, str) else [*map(part, message.content)],
        }
        for message in request.messages
    ]
    rest = request.model_dump(include={"temperature", "max_tokens", "enable_thinking"}, exclude_none=True)
    return {"model": request.model, "messages": messages, **rest}, pictures


def _pictures_of(message: CodeMessage) -> list[CodePicture]:
    return [part for part in message.content if isinstance(part, CodePicture)]


def _file_names(pictures: list[CodePicture]) -> Iterator[str]:
    """Yield a name for each picture's file: printable, without folders, and none twice."""
    taken: set[str] = set()
    for one in pictures:
        printable = "".join(char if char.isprintable() else "_" for char in one.name)
        path = PurePath(printable.replace("/", "_"))
        name, number = path.name or "picture", 1
        while name in taken:
            number += 1
            name = f"{path.stem}-{number}{path.suffix}"
        taken.add(name)
        yield name


def _laid_out(value: Any, syntax: _Syntax, column: int = 0) -> str:
    """Write a value in the syntax that JSON and Python share; `column`: spaces before its lines."""
    if not isinstance(value, dict | list):
        return syntax.scalar(value)
    if column and column + len(short := _one_line(value, syntax)) <= _WIDTH:
        return short
    deeper = column + syntax.indent
    if isinstance(value, dict):
        items = [f"{syntax.scalar(name)}: {_laid_out(one, syntax, deeper)}" for name, one in value.items()]
    else:
        items = [_laid_out(one, syntax, deeper) for one in value]
    lines = ",\n".join(" " * deeper + item for item in items)
    opened, closed = _brackets(value)
    return f"{opened}\n{lines}{syntax.last}\n{' ' * column}{closed}"


def _one_line(value: Any, syntax: _Syntax) -> str:
    if isinstance(value, dict):
        items = [f"{syntax.scalar(name)}: {_one_line(one, syntax)}" for name, one in value.items()]
    elif isinstance(value, list):
        items = [_one_line(one, syntax) for one in value]
    else:
        return syntax.scalar(value)
    opened, closed = _brackets(value)
    return opened + ", ".join(items) + closed


def _brackets(value: Any) -> tuple[str, str]:
    return ("{", "}") if isinstance(value, dict) else ("[", "]")


def _shell_json(value: Any) -> str:
    """Write JSON for a here-document in which the shell replaces variables."""
    if isinstance(value, _Picture):
        url = f"data:{value.media_type};base64,$picture_{value.number}"
        return f'{{"type": "image_url", "image_url": {{"url": "{url}"}}}}'
    return re.sub(r"[\\$`]", r"\\\g<0>", _json(value))


def _json(value: Any) -> str:
    words = json.dumps(_number(value), ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in words)


def _python(value: Any) -> str:
    if isinstance(value, _Picture):
        return f"picture({_python(value.file)}, {_python(value.media_type)})"
    words = repr(_number(value))
    plain = isinstance(value, str) and "'" not in value and '"' not in value
    return f'"{words[1:-1]}"' if plain else words


def _number(value: Any) -> Any:
    """Return a whole number as people write it: 0, not 0.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_SHELL = _Syntax(_shell_json, indent=2, last="")
_PYTHON = _Syntax(_python, indent=4, last=",")
