"""The batch: sequences that decode together. Every step gives each of them its next token.

A step hands the device its work before it reads the last tokens, so that the device never waits for Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx

from worker.engine.sequences import LiveSequence
from worker.models import kv_cache
from worker.models.kv_cache import Caches
from worker.models.library_quirks import count_from
from worker.sampling.constraint import Constraint
from worker.sampling.sampler import Sampler
from worker.sampling.tokens import Sampled, Token

#: Steps after which all arrays of the caches are evaluated. A step does not need some of them, such as the positions of every
#: layer but the first, and their pending graph would grow with every step.
SETTLE_EVERY = 64


class DecodeBatch:
    """Sequences with a cache each, in one forward pass a step."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._keys: list[str] = []
        #: Tokens of each sequence that are still to be read, the chosen one included.
        self._left: list[int] = []
        self._caches: Caches = []
        self._rope_deltas: Any = None
        self._sampler = Sampler()
        #: The tokens that the last step chose. The device may not have computed them yet.
        self._chosen: Sampled | None = None
        self._steps = 0

    def __len__(self) -> int:
        return len(self._keys)

    def join(
        self,
        sequences: Sequence[LiveSequence],
        constraints: Sequence[Constraint | None],
        caches: Caches,
        logits: Any,
        rope_deltas: Any,
    ) -> None:
        """Add prefilled sequences.

        Args:
            constraints: The grammar of each sequence, after the tokens that it has generated; None: free text.
            caches: The sequences' prompts.
            logits: Those after the prompts' last tokens, (sequences, vocabulary).
            rope_deltas: (sequences, 1), or None.
        """
        sampler = Sampler()
        for sequence, constraint in zip(sequences, constraints, strict=True):
            sampler.add(sequence.prepared.sampling, sequence.prepared.ids, sequence.ids, constraint)
        chosen = sampler(logits)
        mx.eval(chosen.arrays, rope_deltas, kv_cache.arrays(caches))
        if not self._keys:
            self._caches, self._rope_deltas, self._sampler, self._chosen = caches, rope_deltas, sampler, chosen
        else:
            assert self._chosen is not None
            self._settle()
            self._caches = kv_cache.extend(self._caches, caches)
            self._rope_deltas = _both(self._rope_deltas, rope_deltas)
            self._sampler.extend(sampler)
            self._chosen = self._chosen.extended(chosen)
        self._keys += [sequence.key for sequence in sequences]
        self._left += [sequence.tokens_left for sequence in sequences]

    def step(self) -> dict[str, Token]:
        """Return the last chosen token of each sequence, by key; the next tokens are on their way by then.

        A sequence whose last token this is (`max_tokens`) has left the batch. After an exception the caches are ahead of the
        tokens: the batch must not be used again.
        """
        chosen, keys = self._chosen, list(self._keys)
        assert chosen is not None
        self._keep([at for at, left in enumerate(self._left) if left > 1])
        if self._keys:
            self._advance()
        return dict(zip(keys, chosen.read(), strict=True))

    def drop(self, unwanted: set[str]) -> None:
        """Take sequences out, by their keys."""
        self._keep([at for at, key in enumerate(self._keys) if key not in unwanted])

    def _advance(self) -> None:
        assert self._chosen is not None
        tokens = self._chosen.tokens
        logits = decoded(self._model, tokens, self._caches, self._rope_deltas)
        if self._sampler.needs_tokens:
            # The masks of grammars are computed while the device computes the logits.
            mx.async_eval(logits)  # type: ignore[no-untyped-call]  # mlx's stubs leave it out
            self._sampler.observe(tokens.tolist())
        self._chosen = self._sampler(logits)
        self._steps += 1
        put_off = kv_cache.arrays(self._caches) if self._steps % SETTLE_EVERY == 0 else []
        mx.async_eval(self._chosen.arrays, put_off)  # type: ignore[no-untyped-call]
        self._left = [left - 1 for left in self._left]

    def _keep(self, places: Sequence[int]) -> None:
        """Keep only the sequences at these places."""
        if len(places) == len(self._keys):
            return
        self._keys = [self._keys[at] for at in places]
        self._left = [self._left[at] for at in places]
        if not places:
            self._caches, self._rope_deltas, self._chosen = [], None, None
            self._sampler = Sampler()
            return
        assert self._chosen is not None
        self._settle()
        kv_cache.keep(self._caches, places)
        self._sampler.keep(places)
        self._chosen = self._chosen.kept(places)
        if self._rope_deltas is not None:
            self._rope_deltas = self._rope_deltas[mx.array(list(places), mx.int32)]

    def _settle(self) -> None:
        """Evaluate pending arrays before the sequences change: a graph over both states would grow with every change."""
        assert self._chosen is not None
        mx.eval(self._chosen.arrays, kv_cache.arrays(self._caches))


def decoded(model: Any, tokens: Any, caches: Caches, rope_deltas: Any) -> Any:
    """Return the logits (sequences, vocabulary) after one more token for each sequence.

    Args:
        tokens: (sequences,).
        rope_deltas: (sequences, 1), or None.
    """
    if rope_deltas is None:
        return last_logits(model(tokens[:, None], cache=caches))
    count_from(model, rope_deltas)
    return last_logits(model(tokens[:, None], cache=caches, rope_deltas=rope_deltas))


def last_logits(output: Any) -> Any:
    """Return the logits (sequences, vocabulary) of the last token, from mlx-vlm's output object or mlx-lm's array."""
    return getattr(output, "logits", output)[:, -1, :]


def _both(first: Any, second: Any) -> Any:
    if first is None and second is None:
        return None
    return mx.concatenate([first, second])
