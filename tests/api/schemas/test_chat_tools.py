"""Tools of a chat request: the refusal of one among many."""

from __future__ import annotations

import pytest

from api.schemas.chat.chat_tools import ToolDefinition, tools_of


def test_a_tool_that_cannot_be_followed_is_named() -> None:
    """A program may send the tools of several servers, and its user has to find the one to leave out."""
    schemas = {"first": {}, "search": {"properties": {"tags": {"type": "array", "uniqueItems": True}}}}
    tools = [
        ToolDefinition.model_validate({"type": "function", "function": {"name": name, "parameters": schema}})
        for name, schema in schemas.items()
    ]
    with pytest.raises(
        ValueError, match=r"^Tool 'search': The schema cannot be followed: .*uniqueItems.* Leave that part out"
    ):
        tools_of(tools, "auto", parallel=None)
