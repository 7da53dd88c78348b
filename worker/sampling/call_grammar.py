"""The grammar of calls: of functions that may be called, in the model's own form, with arguments that follow their schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.answer_format.response_format import AnswerFormat, JSONObjectFormat, JSONSchemaFormat
from jobs.answer_format.schema_grammar import LAYOUT
from jobs.tools import Tools
from worker.sampling.call_format import CallFormat

#: Ids of the special tokens that occur in a form of calls, by their texts.
SpecialTokens = Mapping[str, int]


@dataclass(frozen=True)
class CallRules:
    """The calls that one answer may have."""

    form: CallFormat
    tools: Tools

    @property
    def most_calls(self) -> int:
        """Most calls of the answer."""
        return self.tools.most_calls if self.form.several else 1


def calls_grammar(
    rules: CallRules, special: SpecialTokens, *, before: str = "", answer: AnswerFormat | None = None
) -> str:
    """Return the grammar of an answer of calls in Lark, as llguidance reads it.

    Args:
        before: text before the first call.
        answer: the format of an answer without calls, if the answer may also have none.
    """
    form = rules.form
    begin = before + form.begin + form.head

    def text(words: str) -> str:
        return _literal(words, special)

    more = rules.most_calls - 1
    again = f"({text(form.between + form.head)} call){{0,{more}}}" if more else ""
    rows = [
        "%llguidance {}",
        f"start: calls{' | answer' if answer is not None else ''}",
        f"calls: {text(begin)} call {again} {text(form.end)}",
        "call: " + " | ".join(f"call{number}" for number in range(len(rules.tools.callable))),
    ]
    for number, tool in enumerate(rules.tools.callable):
        arguments = _json(tool.arguments_schema)
        rows.append(f"call{number}: {text(tool.name + form.middle)} arguments{number} {text(form.tail)}")
        rows.append(f"arguments{number}: {arguments}")
    if answer is not None:
        rows.append(f"answer: {_json(_schema_of(answer))}")
    return "\n".join(rows)


def _json(schema: dict[str, Any]) -> str:
    return f"%json {json.dumps({**schema, 'x-guidance': LAYOUT}, ensure_ascii=False)}"


def _schema_of(answer: AnswerFormat) -> dict[str, Any]:
    match answer:
        case JSONSchemaFormat():
            return answer.json_schema.effective
        case JSONObjectFormat():
            return {"type": "object"}
        case _:
            raise AssertionError(f"no tools beside {answer.type}")


def _literal(words: str, special: SpecialTokens) -> str:
    """Return a terminal for these words, with the special tokens among them by their ids."""
    if not words:
        return ""
    found = [re.escape(token) for token in sorted(special, key=len, reverse=True)]
    parts = re.split(f"({'|'.join(found)})", words) if found else [words]
    return " ".join(
        f"<[{special[part]}]>" if part in special else json.dumps(part, ensure_ascii=False) for part in parts if part
    )
