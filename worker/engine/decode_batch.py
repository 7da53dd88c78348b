"""The rows that decode together: every step gives each of them its next token.

A step hands the device its work before it reads what the last one chose, so that the device never waits for Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from jobs.requests import Sampling
from worker.models import kv_cache
from worker.models.kv_cache import Caches
from worker.sampling.grammar import Constraint
from worker.sampling.sampler import Sampler
from worker.sampling.tokens import Sampled, Token

#: Steps after which all that the caches hold is computed. Some of it nobody asks for meanwhile, such as the positions of every
#: layer but the first, and what is put off would grow with every step.
SETTLE_EVERY = 64


@dataclass
class Joining:
    """A row that joins: its rules, and where it stands."""

    key: str
    sampling: Sampling
    prompt_ids: Sequence[int]
    #: What it has generated before, when it is taken up again.
    generated: Sequence[int] = ()
    constraint: Constraint | None = None

    @property
    def left(self) -> int:
        """Tokens that are still to come."""
        return self.sampling.max_tokens - len(self.generated)


class DecodeBatch:
    """Rows with a cache each, in one forward pass a step."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._keys: list[str] = []
        #: How many tokens of each row are still to be read, the chosen one included.
        self._left: list[int] = []
        self._caches: Caches = []
        self._rope_deltas: Any = None
        self._sampler = Sampler()
        #: What the last step chose: the device may still be at it.
        self._chosen: Sampled | None = None
        self._steps = 0

    def __len__(self) -> int:
        return len(self._keys)

    def join(self, rows: Sequence[Joining], row_caches: Caches, logits: Any, rope_deltas: Any) -> None:
        """Add rows whose prompts are in `row_caches` and whose last tokens gave `logits` (rows, vocabulary)."""
        sampler = Sampler()
        for row in rows:
            sampler.add(row.sampling, row.prompt_ids, row.generated, row.constraint)
        chosen = sampler(logits)
        mx.eval(chosen.arrays, rope_deltas, kv_cache.arrays(row_caches))
        if not self._keys:
            self._caches, self._rope_deltas, self._sampler, self._chosen = row_caches, rope_deltas, sampler, chosen
        else:
            assert self._chosen is not None
            self._settle()
            self._caches = kv_cache.extend(self._caches, row_caches)
            self._rope_deltas = _both(self._rope_deltas, rope_deltas)
            self._sampler.extend(sampler)
            self._chosen = self._chosen.extended(chosen)
        self._keys += [row.key for row in rows]
        self._left += [row.left for row in rows]

    def step(self) -> dict[str, Token]:
        """The token that was chosen last for each row; the next ones are on their way when this returns.

        A row whose last token this is (`max_tokens`) has left the batch. After an exception the caches are ahead of the
        tokens: the batch is not to be used again.
        """
        chosen, keys = self._chosen, list(self._keys)
        assert chosen is not None
        going_on = [row for row, left in enumerate(self._left) if left > 1]
        self._keep(going_on)
        if self._keys:
            self._advance()
        tokens = chosen.read()
        return dict(zip(keys, tokens, strict=True))

    def drop(self, unwanted: set[str]) -> None:
        """Take rows out."""
        self._keep([row for row, key in enumerate(self._keys) if key not in unwanted])

    def _advance(self) -> None:
        assert self._chosen is not None
        tokens = self._chosen.tokens
        extra = {} if self._rope_deltas is None else {"rope_deltas": self._rope_deltas}
        logits = last_logits(self._model(tokens[:, None], cache=self._caches, **extra))
        if self._sampler.needs_tokens:
            # What a grammar allows next is worked out while the device computes the logits.
            mx.async_eval(logits)  # type: ignore[no-untyped-call]  # mlx's stubs leave it out
            self._sampler.observe(tokens.tolist())
        self._chosen = self._sampler(logits)
        self._steps += 1
        put_off = kv_cache.arrays(self._caches) if self._steps % SETTLE_EVERY == 0 else []
        mx.async_eval(self._chosen.arrays, put_off)  # type: ignore[no-untyped-call]
        self._left = [left - 1 for left in self._left]

    def _keep(self, rows: Sequence[int]) -> None:
        if len(rows) == len(self._keys):
            return
        self._keys = [self._keys[row] for row in rows]
        self._left = [self._left[row] for row in rows]
        if not rows:
            self._caches, self._rope_deltas, self._chosen = [], None, None
            self._sampler = Sampler()
            return
        assert self._chosen is not None
        self._settle()
        kv_cache.keep(self._caches, rows)
        self._sampler.keep(rows)
        self._chosen = self._chosen.kept(rows)
        if self._rope_deltas is not None:
            self._rope_deltas = self._rope_deltas[mx.array(list(rows), mx.int32)]

    def _settle(self) -> None:
        """Compute what is pending before the caches' rows change: a graph over both would grow with every change."""
        assert self._chosen is not None
        mx.eval(self._chosen.arrays, kv_cache.arrays(self._caches))


def last_logits(output: Any) -> Any:
    """The logits (rows, vocabulary) of the last token, of mlx-vlm's output object or mlx-lm's array."""
    return getattr(output, "logits", output)[:, -1, :]


def _both(first: Any, second: Any) -> Any:
    if first is None and second is None:
        return None
    return mx.concatenate([first, second])
