"""Prompts on their way into the batch: several rows in one forward pass, a chunk of columns at a time.

padding ░   shared prefix ▒ (from memory)   what is computed █

row 1   ▒▒▒▒▒▒████████████
row 2   ░░▒▒▒▒████████████     a shorter row begins later, and computes some of the prefix again:
row 3   ▒▒▒▒▒▒████████████     so the columns that are computed hold tokens and no padding
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
    """Rows of one forward pass. Several must be `shareable` and of one `kind`, and the model's caches such as can be padded."""

    def __init__(
        self, model: Any, rows: Sequence[Embedded], prefix: Prefix | None = None, prefix_tokens: int = 0
    ) -> None:
        assert len(rows) == 1 or all(row.shareable and row.kind == rows[0].kind for row in rows)
        self.rows = rows
        self._model = model
        #: The positions that the model keeps of a row.
        self._kept = rows[0].kept
        #: Of the longest row.
        self.columns = max(row.length for row in rows)
        self._padding = [self.columns - row.length for row in rows]
        #: Columns that are in the caches.
        self._done = prefix_tokens
        self.caches: Caches = kv_cache.make(model) if len(rows) == 1 else kv_cache.make_padded(model, self._padding)
        if prefix is not None and len(rows) == 1:
            kv_cache.preload_row(self.caches, prefix, prefix_tokens)
        elif prefix is not None:
            kv_cache.preload(self.caches, prefix, prefix_tokens, self._padding)
        self.logits: Any = None

    @property
    def finished(self) -> bool:
        """Whether all columns are begun: `logits` (rows, vocabulary) are those after the last tokens."""
        return self.logits is not None

    def step(self, columns: int) -> int:
        """Begin with the next columns, up to so many; returns how many tokens (rows × columns) they have.

        The device may be at it until `pending` is evaluated.
        """
        left = self.columns - self._done
        # The last column by itself: its logits are wanted, and those of all others would be the largest array of all.
        width = left if self.rows[0].whole else min(max(columns, 1), max(left - 1, 1))
        output = self._forward(self._done, self._done + width)
        if width == left:
            self.logits = last_logits(output)
        self._done += width
        return width * len(self.rows)

    @property
    def pending(self) -> list[Any]:
        """What the last step began."""
        return [self.logits, kv_cache.arrays(self.caches)]

    def rope_deltas(self) -> Any:
        """(rows, 1), or None where positions are just counted. To be read when the prefill has finished."""
        deltas = [self._rope_delta(row) for row in self.rows]
        return None if deltas[0] is None else mx.concatenate(deltas)

    def _rope_delta(self, row: Embedded) -> Any:
        """(1, 1); of a family that does not hand it out what its model keeps, where a row without images may leave another's."""
        if row.rope_delta is not None or "_rope_deltas" not in self._kept:
            return row.rope_delta
        delta = self._kept["_rope_deltas"] if row.has_images else None
        return mx.zeros((1, 1), mx.int32) if delta is None else mx.array(delta).reshape(-1, 1)[:1].astype(mx.int32)

    def batch_caches(self) -> Caches:
        """The caches, ready to be joined with others."""
        return kv_cache.batched(self.caches)

    def prefix(self, row: int, tokens: int) -> Prefix:
        """A copy of the first tokens' keys and values."""
        return kv_cache.prefix_of(self.caches, row, self._padding[row], tokens)

    def _forward(self, start: int, end: int) -> Any:
        """The model's output for the columns from `start` to `end`, wherever its kept positions were since the last ones."""
        put_back(self._model, self._kept)
        output = self._output(start, end)
        self._kept = kept_positions(self._model) if self._kept else self._kept
        return output

    def _output(self, start: int, end: int) -> Any:
        ids = mx.array(
            [_columns_of_ids(row, pad, start, end) for row, pad in zip(self.rows, self._padding, strict=True)]
        )
        if self.rows[0].embeds is None:
            return self._model(ids, cache=self.caches)
        options: dict[str, Any] = {name: self._columns(name, start, end) for name in self.rows[0].per_token}
        options |= self._deepstack(start, end) | self.rows[0].rest
        if len(self.rows) == 1:
            options |= self.rows[0].about_images
        if self.rows[0].rope_delta is not None:
            options["rope_deltas"] = self.rope_deltas()
        if end < self.columns:
            options["n_to_process"] = end - start
        else:
            options["logits_to_keep"] = 1
        embeds = mx.concatenate(
            [_cut(row.embeds, 1, pad, start, end) for row, pad in zip(self.rows, self._padding, strict=True)]
        )
        return self._model(ids, cache=self.caches, inputs_embeds=embeds, **options)

    def _columns(self, name: str, start: int, end: int) -> Any:
        parts = []
        for row, pad in zip(self.rows, self._padding, strict=True):
            array = row.per_token[name]
            parts.append(_cut(array, 2 if _is_mrope(name, array) else 1, pad, start, end))
        return mx.concatenate(parts, axis=1 if _is_mrope(name, parts[0]) else 0)

    def _deepstack(self, start: int, end: int) -> dict[str, Any]:
        """The features that belong to the image tokens of these columns, and where those are."""
        masks, layers = [], []
        for row, pad in zip(self.rows, self._padding, strict=True):
            mask = np.zeros(end - start, np.bool_)
            if row.deepstack is not None and row.image_mask is not None and end > pad:
                first, last = max(start - pad, 0), end - pad
                part = row.image_mask[first:last]
                mask[len(mask) - len(part) :] = part
                before, inside = int(row.image_mask[:first].sum()), int(part.sum())
                layers.append([layer[before : before + inside] for layer in row.deepstack])
            masks.append(mask)
        if not layers:
            return {}
        stacked = [mx.concatenate(list(parts)) for parts in zip(*layers, strict=True)]
        return {"visual_pos_masks": mx.array(np.stack(masks)), "deepstack_visual_embeds": stacked}


def grouped(rows: Sequence[Embedded]) -> list[list[int]]:
    """Which rows may share a prefill, by their places: those of one kind, and each row that is not shareable by itself."""
    groups: dict[Any, list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault(row.kind if row.shareable else at, []).append(at)
    return list(groups.values())


def _is_mrope(name: str, array: Any) -> bool:
    return name == "position_ids" and array.ndim == 3


def _cut(array: Any, axis: int, pad: int, start: int, end: int) -> Any:
    """The columns of one row's array: zeros where its padding is."""
    first, last = max(start - pad, 0), max(end - pad, 0)
    part = array[(slice(None),) * axis + (slice(first, last),)]
    missing = (end - start) - part.shape[axis]
    if not missing:
        return part
    return mx.pad(part, [(missing, 0) if at == axis else (0, 0) for at in range(part.ndim)])


def _columns_of_ids(row: Embedded, pad: int, start: int, end: int) -> list[int]:
    part = row.ids[max(start - pad, 0) : max(end - pad, 0)]
    return [0] * (end - start - len(part)) + part
