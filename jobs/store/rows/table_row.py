"""The base of all tables."""

from __future__ import annotations

from sqlmodel import SQLModel


class TableRow(SQLModel):
    """Base of a table. pydantic's validators are made at their first use: statements write rows, so few processes need any."""

    model_config = {"defer_build": True}
