"""Numbers as clients write them: JSON knows one kind of number, and -1 often stands for no number."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

#: The smallest share of probability, for clients that write 0 for "the most likely token".
_SMALLEST_SHARE = 1e-9


def _whole(value: Any) -> Any:
    """Return `300.0` as `300`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _limit(value: int | None) -> int | None:
    """Return no limit for 0 and -1."""
    return value if value is not None and value > 0 else None


def _seed(value: int | None) -> int | None:
    """Return no seed for -1, and a positive seed for any other negative one."""
    return None if value is None or value == -1 else value % 2**63


#: An integer, also written as `300.0`.
Whole = Annotated[int, BeforeValidator(_whole)]
#: Most tokens; None, 0 and -1: no limit of the client's.
TokenLimit = Annotated[Annotated[Whole, Field(ge=-1)] | None, AfterValidator(_limit)]
#: A seed of 64 bits, as OpenAI allows it; None and -1: none.
Seed = Annotated[Annotated[Whole, Field(ge=-(2**63), lt=2**63)] | None, AfterValidator(_seed)]
#: A number of tokens to sample from; 0 and -1: all.
TopK = Annotated[Whole, Field(ge=-1), AfterValidator(lambda number: max(number, 0))]
#: A share of the probability; 0: the most likely token.
TopP = Annotated[float, Field(ge=0, le=1), AfterValidator(lambda share: max(share, _SMALLEST_SHARE))]
