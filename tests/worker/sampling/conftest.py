"""The grammars of both kinds of demo model."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.grammars import VOCABULARY
from worker.models.loader import LoadedModel, load
from worker.sampling.grammar import Grammars


@pytest.fixture(scope="module", params=["demo", "demo-text"])
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    """mlx-vlm's processor, which holds transformers' tokenizer, and mlx-lm's wrapper of one."""
    return load(request.param)


@pytest.fixture(scope="module")
def tokenizer(loaded: LoadedModel) -> Any:
    """The tokenizer that the backends decode with."""
    return getattr(loaded.processor, "tokenizer", loaded.processor)


@pytest.fixture(scope="module")
def grammars(loaded: LoadedModel, tokenizer: Any) -> Grammars:
    """The grammars of the model."""
    return Grammars(tokenizer, VOCABULARY, loaded.eos)
