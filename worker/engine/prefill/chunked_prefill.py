"""Prefill: several prompts in one forward pass, a chunk of columns at a time.

padding ░   shared prefix ▒ (from the prefix cache)   computed █

prompt 1   ▒▒▒▒▒▒████████████
prompt 2   ░░▒▒▒▒████████████     a shorter prompt begins later, and computes some of the prefix again:
prompt 3   ▒▒▒▒▒▒████████████     so the computed columns hold tokens and no padding
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from worker.engine.decode_batch import last_logits
from worker.models import kv_cache
from worker.models.inputs import Embedded
from worker.models.kv_cache import Caches
from worker.models.library_quirks import kept_positions, put_back

#: The keys and values of a prefix, a pair a layer.
Prefix = Sequence[tuple[Any, Any]]


class Prefill:
    """Prompts of one forward pass.

    Several prompts must be `shareable` and of one `kind`, and the model's caches must allow padding.
    """

    def __init__(
        self, model: Any, prompts: Sequence[Embedded], prefix: Prefix | None = None, prefix_tokens: int = 0
    ) -> None:
        single = len(prompts) == 1
        assert single or all(one.shareable and one.kind == prompts[0].kind for one in prompts)
        self.prompts = prompts
        self._model = model
        #: The positions that the model keeps of a prompt.
        self._kept = prompts[0].kept
        #: Tokens of the longest prompt.
        self.columns = max(one.length for one in prompts)
        self._padding = [self.columns - one.length for one in prompts]
        #: Columns that are in the caches.
        self._done = prefix_tokens
        self.caches: Caches = kv_cache.make(model) if single else kv_cache.make_padded(model, self._padding)
        if prefix is not None and single:
            kv_cache.preload_row(self.caches, prefix, prefix_tokens)
        elif prefix is not None:
            kv_cache.preload(self.caches, prefix, prefix_tokens, self._padding)
        self.logits: Any = None

    @property
    def finished(self) -> bool:
        """Whether all columns are begun. `logits` (prompts, vocabulary) are then those after the last tokens."""
        return self.logits is not None

    def step(self, columns: int) -> int:
        """Begin the next columns, at most `columns`; return the number of their tokens (prompts × columns).

        The device may be computing until `pending` is evaluated.
        """
        left = self.columns - self._done
        # The last column by itself: only its logits are needed, and the logits of all columns would be the largest array of all.
        width = left if self.prompts[0].whole else min(max(columns, 1), max(left - 1, 1))
        output = self._forward(self._done, self._done + width)
        if width == left:
            self.logits = last_logits(output)
        self._done += width
        return width * len(self.prompts)

    @property
    def pending(self) -> list[Any]:
        """Arrays that the last step began to compute."""
        return [self.logits, kv_cache.arrays(self.caches)]

    def rope_deltas(self) -> Any:
        """Return the deltas (prompts, 1) of a finished prefill; None: positions are the number of tokens."""
        deltas = [self._rope_delta(one) for one in self.prompts]
        return None if deltas[0] is None else mx.concatenate(deltas)

    def _rope_delta(self, prompt: Embedded) -> Any:
        """Return the prompt's delta (1, 1).

        Some families do not return it: their language model keeps it, and after a prompt without images that may be another
        prompt's.
        """
        if prompt.rope_delta is not None or "_rope_deltas" not in self._kept:
            return prompt.rope_delta
        delta = self._kept["_rope_deltas"] if prompt.has_images else None
        return mx.zeros((1, 1), mx.int32) if delta is None else mx.array(delta).reshape(-1, 1)[:1].astype(mx.int32)

    def batch_caches(self) -> Caches:
        """Return the caches in the form that can be joined with others."""
        return kv_cache.batched(self.caches)

    def prefix(self, prompt: int, tokens: int) -> Prefix:
        """Return a copy of the keys and values of a prompt's first tokens."""
        return kv_cache.prefix_of(self.caches, prompt, self._padding[prompt], tokens)

    def _forward(self, start: int, end: int) -> Any:
        """Return the model's output for the columns from `start` to `end`, after its kept positions are put back."""
        put_back(self._model, self._kept)
        output = self._output(start, end)
        self._kept = kept_positions(self._model) if self._kept else self._kept
        return output

    def _output(self, start: int, end: int) -> Any:
        padded = list(zip(self.prompts, self._padding, strict=True))
        ids = mx.array([_columns_of_ids(one, pad, start, end) for one, pad in padded])
        first = self.prompts[0]
        if first.embeds is None:
            return self._model(ids, cache=self.caches)
        options: dict[str, Any] = {name: self._columns(name, start, end) for name in first.per_token}
        options |= self._deepstack(start, end) | first.rest
        if len(self.prompts) == 1:
            options |= first.about_images
        if first.rope_delta is not None:
            options["rope_deltas"] = self.rope_deltas()
        if end < self.columns:
            options["n_to_process"] = end - start
        else:
            options["logits_to_keep"] = 1
        embeds = mx.concatenate([_cut(one.embeds, 1, pad, start, end) for one, pad in padded])
        return self._model(ids, cache=self.caches, inputs_embeds=embeds, **options)

    def _columns(self, name: str, start: int, end: int) -> Any:
        parts = []
        for prompt, pad in zip(self.prompts, self._padding, strict=True):
            array = prompt.per_token[name]
            parts.append(_cut(array, 2 if _is_mrope(name, array) else 1, pad, start, end))
        return mx.concatenate(parts, axis=1 if _is_mrope(name, parts[0]) else 0)

    def _deepstack(self, start: int, end: int) -> dict[str, Any]:
        """Return the features of the image tokens in these columns, and the mask of these tokens."""
        masks, layers = [], []
        for prompt, pad in zip(self.prompts, self._padding, strict=True):
            mask = np.zeros(end - start, np.bool_)
            if prompt.deepstack is not None and prompt.image_mask is not None and end > pad:
                first, last = max(start - pad, 0), end - pad
                part = prompt.image_mask[first:last]
                mask[len(mask) - len(part) :] = part
                before, inside = int(prompt.image_mask[:first].sum()), int(part.sum())
                layers.append([layer[before : before + inside] for layer in prompt.deepstack])
            masks.append(mask)
        if not layers:
            return {}
        stacked = [mx.concatenate(list(parts)) for parts in zip(*layers, strict=True)]
        return {"visual_pos_masks": mx.array(np.stack(masks)), "deepstack_visual_embeds": stacked}


def grouped(prompts: Sequence[Embedded]) -> list[list[int]]:
    """Group the places of prompts that may share a prefill: shareable ones by their kind, each other prompt by itself."""
    groups: dict[Any, list[int]] = {}
    for at, prompt in enumerate(prompts):
        groups.setdefault(prompt.kind if prompt.shareable else at, []).append(at)
    return list(groups.values())


def _is_mrope(name: str, array: Any) -> bool:
    return name == "position_ids" and array.ndim == 3


def _cut(array: Any, axis: int, pad: int, start: int, end: int) -> Any:
    """Return the columns from `start` to `end` of one prompt's array, with zeros for its padding."""
    first, last = max(start - pad, 0), max(end - pad, 0)
    part = array[(slice(None),) * axis + (slice(first, last),)]
    missing = (end - start) - part.shape[axis]
    if not missing:
        return part
    return mx.pad(part, [(missing, 0) if at == axis else (0, 0) for at in range(part.ndim)])


def _columns_of_ids(prompt: Embedded, pad: int, start: int, end: int) -> list[int]:
    part = prompt.ids[max(start - pad, 0) : max(end - pad, 0)]
    return [0] * (end - start - len(part)) + part
