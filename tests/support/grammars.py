"""Constraints for the tests of structured output."""

from __future__ import annotations

from jobs.answer_format.response_format import ResponseFormat
from worker.sampling.constraint import Constraint
from worker.sampling.grammar import Grammars

#: A vocabulary wider than the tokenizers' 666: models pad their logits.
VOCABULARY = 700


def constraint_of(grammars: Grammars, response_format: ResponseFormat) -> Constraint:
    """Make a new constraint."""
    constraint = grammars.constraint(response_format)
    assert constraint is not None
    return constraint
