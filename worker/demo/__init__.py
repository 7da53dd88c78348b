"""The built-in models: tiny, real and trained; see MODEL_CARD.md."""

from __future__ import annotations

from pathlib import Path


def demo_models() -> dict[str, Path]:
    """The folders of the built-in models, by name."""
    here = Path(__file__).parent
    return {name: here / name for name in ("demo", "demo-text")}
