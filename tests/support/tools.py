"""Functions that the tests let models call."""

from __future__ import annotations

from typing import Any

from jobs.tools import FunctionTool, Tools

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
}


def weather_and_time(**more: Any) -> Tools:
    """Return two tools: `get_weather`, whose arguments are checked easily, and `get_time`, which has none."""
    weather = FunctionTool(name="get_weather", description="Tell the weather.", parameters=WEATHER)
    return Tools(functions=(weather, FunctionTool(name="get_time")), **more)
